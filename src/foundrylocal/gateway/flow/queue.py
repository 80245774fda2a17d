"""The queue of each model: its slots, granted to keys and clients in turn, and a bounded number of waiting requests.

Invariant: a model never has a free slot and a waiting request at the same time, except for slots that collect for
a request which needs several. Every granted slot is released, however its request ends. A full queue has room for a
key that has fewer waiting requests than another.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import anyio

from foundrylocal.errors import QueueFull
from foundrylocal.gateway.flow.shares import KeyShares, Waiter
from foundrylocal.kit.wake import Wake

# The timeout of the usual client libraries: nobody reads the answer of a request that waited longer.
QUEUE_TIMEOUT_S = 600.0
MAX_RETRY_AFTER_S = 60
Clock = Callable[[], float]
_FIRST_GUESS_S = 2.0
_SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class Ticket:
    """How a request got its slot: `position` is its place in the queue on arrival, 0 when it did not wait."""

    position: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One model's queue at one moment; `arrived` counts the requests since the service started."""

    limit: int
    running: int
    waiting: int
    longest_wait_s: float
    arrived: int = 0
    usual_duration_s: float = 0.0


class _ModelQueue:
    """The slots of one model and the requests that wait for them."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self.limit = limit
        self.slots_per_request = limit
        self._clock = clock
        self.running = 0
        self.arrived = 0
        self.usual_duration_s = _FIRST_GUESS_S
        self._shares = KeyShares()

    @property
    def waiting(self) -> int:
        return self._shares.waiting

    def slots_of(self, weight: int) -> int:
        """The slots that a request for so many answers takes; its replica computes any further ones in turn."""
        return min(weight, self.slots_per_request, self.limit)

    def has_room(self, weight: int) -> bool:
        return self.running + self.slots_of(weight) <= self.limit

    def join(self, waiter: Waiter) -> None:
        self._shares.add(waiter, self._clock())

    def leave(self, waiter: Waiter) -> None:
        self._shares.remove(waiter, self._clock())
        self.grant()  # slots may have been collecting for it

    def displace_for(self, key: str) -> bool:
        """Make room in a full queue: the key with the most waiting requests loses its newest to one with fewer."""
        displaced = self._shares.displaced_by(key)
        if displaced is None:
            return False
        self._shares.remove(displaced, self._clock())
        displaced.decided.set()
        return True

    def grant(self) -> None:
        """Fill the free slots with those whose turn it is."""
        now = self._clock()
        while (waiter := self._shares.next(self.usual_duration_s)) and self.has_room(waiter.weight):
            waiter.slots = self.slots_of(waiter.weight)
            self._shares.grant(waiter, waiter.slots, now)
            self.running += waiter.slots
            waiter.decided.set()

    def release(self, waiter: Waiter, took_s: float) -> None:
        self.running -= waiter.slots
        self._shares.release(waiter.key, waiter.slots, self._clock())
        self.usual_duration_s += _SMOOTHING * (took_s - self.usual_duration_s)
        self.grant()

    def retry_after_s(self) -> int:
        """When a place in the queue is likely to be free: the usual duration of a request, divided by the slots."""
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(self.usual_duration_s / self.limit)))

    def longest_wait_s(self, now: float) -> float:
        return max((now - waiter.since for waiter in self._shares), default=0.0)


class FairQueue:
    """Owner of all queues; `max_waiting` is called for each request, so a changed setting holds at once.

    `clock` returns monotonic seconds.
    """

    def __init__(self, max_waiting: Callable[[], int], clock: Clock = monotonic) -> None:
        self._max_waiting = max_waiting
        self._clock = clock
        self._queues: dict[str, _ModelQueue] = {}
        self.arrival = Wake()
        """Set by each request."""

    def set_limit(self, model_id: str, limit: int, slots_per_request: int | None = None) -> None:
        """Set how many requests the model answers at once; waiting requests take new slots immediately.

        One request gets at most `slots_per_request`, those of one replica; by default all.
        """
        queue = self._queues.get(model_id)
        if queue is None:
            queue = self._queues[model_id] = _ModelQueue(limit, self._clock)
        has_changed = queue.limit != limit
        queue.limit, queue.slots_per_request = limit, slots_per_request or limit
        if has_changed:
            queue.grant()

    @asynccontextmanager
    async def slot(
        self, model_id: str, key: str, client: str, *, weight: int = 1, is_readmitted: bool = False
    ) -> AsyncIterator[Ticket]:
        """Hold slots for the block, one for each of `weight` answers; waits for them in turn.

        Turns go by `key`, the name of an API key, and within a key by `client`.

        Call `set_limit` first. A request that `is_readmitted` had a place already and passes the bound. Raises
        QueueFull.
        """
        queue = self._queues[model_id]
        queue.arrived += not is_readmitted
        self.arrival.set()
        waiter = Waiter(key, client, self._clock(), weight, is_readmitted)
        position = await self._wait(queue, waiter)
        began = self._clock()
        try:
            yield Ticket(position, began - waiter.since if position else 0.0)
        finally:
            queue.release(waiter, self._clock() - began)

    async def _wait(self, queue: _ModelQueue, waiter: Waiter) -> int:
        """Wait until its slots are granted; returns its place in the queue, 0 when it did not wait."""
        if not queue.waiting and queue.has_room(waiter.weight):
            queue.join(waiter)
            queue.grant()
            return 0
        if (
            queue.waiting >= self._max_waiting()
            and not waiter.is_readmitted
            and not queue.displace_for(waiter.key)
        ):
            raise QueueFull(queue.waiting, queue.retry_after_s())
        queue.join(waiter)
        position = queue.waiting
        try:
            with anyio.move_on_after(QUEUE_TIMEOUT_S):
                await waiter.decided.wait()
        except BaseException:
            if waiter.slots:
                queue.release(waiter, queue.usual_duration_s)
            elif not waiter.decided.is_set():
                queue.leave(waiter)
            raise
        if not waiter.decided.is_set():
            queue.leave(waiter)
        if not waiter.slots:
            raise QueueFull(queue.waiting, queue.retry_after_s())
        return position

    def snapshot(self) -> dict[str, QueueStats]:
        """The queues as they are now, by model id."""
        now = self._clock()
        return {
            model_id: QueueStats(
                queue.limit,
                queue.running,
                queue.waiting,
                queue.longest_wait_s(now),
                queue.arrived,
                queue.usual_duration_s,
            )
            for model_id, queue in self._queues.items()
        }
