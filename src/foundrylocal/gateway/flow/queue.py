"""The queue of each model: its slots, granted to clients in turn, and a bounded number of waiting requests.

Invariant: a model never has a free slot and a waiting request at the same time, except for slots that collect for
a request which needs several. Every granted slot is released, however its request ends.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import anyio

from foundrylocal.errors import QueueFull

# The timeout of the usual client libraries: nobody reads the answer of a request that waited longer.
QUEUE_TIMEOUT_S = 600.0
MAX_RETRY_AFTER_S = 60
_FIRST_GUESS_S = 2.0
_SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class Ticket:
    """How a request got its slot: `position` is its place in the queue on arrival, 0 when it did not wait."""

    position: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One model's queue at one moment."""

    limit: int
    running: int
    waiting: int
    longest_wait_s: float


@dataclass(eq=False)
class _Waiter:
    client: str
    since: float
    weight: int
    slots: int = 0
    granted: anyio.Event = field(default_factory=anyio.Event)


class _ModelQueue:
    """The slots of one model and the requests that wait for them, by client."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.waiting = 0
        self.usual_duration_s = _FIRST_GUESS_S
        self._clients: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    def slots_of(self, weight: int) -> int:
        """The slots that a request for so many answers takes; the engine computes any further ones in turn."""
        return min(weight, self.limit)

    def has_room(self, weight: int) -> bool:
        return self.running + self.slots_of(weight) <= self.limit

    def join(self, waiter: _Waiter) -> None:
        self._clients.setdefault(waiter.client, deque()).append(waiter)
        self.waiting += 1

    def leave(self, waiter: _Waiter) -> None:
        waiters = self._clients[waiter.client]
        waiters.remove(waiter)
        self.waiting -= 1
        if not waiters:
            del self._clients[waiter.client]
        self.grant()  # slots may have been collecting for it

    def grant(self) -> None:
        """Fill the free slots: one request of each client in turn, the oldest of a client first."""
        while self._clients:
            client, waiters = next(iter(self._clients.items()))
            if not self.has_room(waiters[0].weight):
                return
            waiter = waiters.popleft()
            self._clients.move_to_end(client)
            if not waiters:
                del self._clients[client]
            self.waiting -= 1
            waiter.slots = self.slots_of(waiter.weight)
            self.running += waiter.slots
            waiter.granted.set()

    def release(self, slots: int, took_s: float) -> None:
        self.running -= slots
        self.usual_duration_s += _SMOOTHING * (took_s - self.usual_duration_s)
        self.grant()

    def retry_after_s(self) -> int:
        """When a place in the queue is likely to be free: the usual duration of a request, divided by the slots."""
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(self.usual_duration_s / self.limit)))

    def longest_wait_s(self, now: float) -> float:
        return max((now - waiters[0].since for waiters in self._clients.values()), default=0.0)


class FairQueue:
    """Owner of all queues; `max_waiting` is called for each request, so a changed setting holds at once."""

    def __init__(self, max_waiting: Callable[[], int]) -> None:
        self._max_waiting = max_waiting
        self._queues: dict[str, _ModelQueue] = {}

    def set_limit(self, model_id: str, limit: int) -> None:
        """Set how many requests the model answers at once; waiting requests take new slots immediately."""
        queue = self._queues.get(model_id)
        if queue is None:
            self._queues[model_id] = _ModelQueue(limit)
        elif queue.limit != limit:
            queue.limit = limit
            queue.grant()

    @asynccontextmanager
    async def slot(
        self, model_id: str, client: str, *, weight: int = 1, is_readmitted: bool = False
    ) -> AsyncIterator[Ticket]:
        """Hold slots for the block, one for each of `weight` answers; waits for them in turn.

        Call `set_limit` first. A request that `is_readmitted` had a place already and passes the bound. Raises
        QueueFull.
        """
        queue = self._queues[model_id]
        waiter = _Waiter(client, monotonic(), weight)
        position = await self._wait(queue, waiter, is_readmitted)
        began = monotonic()
        try:
            yield Ticket(position, began - waiter.since if position else 0.0)
        finally:
            queue.release(waiter.slots, monotonic() - began)

    async def _wait(self, queue: _ModelQueue, waiter: _Waiter, is_readmitted: bool) -> int:
        """Wait until its slots are granted; returns its place in the queue, 0 when it did not wait."""
        if not queue.waiting and queue.has_room(waiter.weight):
            queue.join(waiter)
            queue.grant()
            return 0
        max_waiting = self._max_waiting()
        if queue.waiting >= max_waiting and not is_readmitted:
            raise QueueFull(queue.waiting, queue.retry_after_s())
        queue.join(waiter)
        position = queue.waiting
        try:
            with anyio.move_on_after(QUEUE_TIMEOUT_S):
                await waiter.granted.wait()
        except BaseException:
            if waiter.granted.is_set():
                queue.release(waiter.slots, queue.usual_duration_s)
            else:
                queue.leave(waiter)
            raise
        if not waiter.granted.is_set():
            queue.leave(waiter)
            raise QueueFull(queue.waiting, queue.retry_after_s())
        return position

    def snapshot(self) -> dict[str, QueueStats]:
        """The queues as they are now, by model id."""
        now = monotonic()
        return {
            model_id: QueueStats(queue.limit, queue.running, queue.waiting, queue.longest_wait_s(now))
            for model_id, queue in self._queues.items()
        }
