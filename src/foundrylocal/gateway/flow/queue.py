"""Who waits for a model: slots that are taken in turn by its clients, and a bounded line before them.

Invariant: a free slot and a waiting request of one model never exist at the same time, but for slots that the
next in turn gathers because it needs several; every slot that was granted is given back, whatever becomes of
its request.
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

# What the clients' own libraries wait for an answer; a request that stood in line longer has no reader.
QUEUE_TIMEOUT_S = 600.0
MAX_RETRY_AFTER_S = 60
_FIRST_GUESS_S = 2.0
_SMOOTHING = 0.2


@dataclass(frozen=True, slots=True)
class Ticket:
    """How a request came to its slot: `position` is its place in line on arrival, 0 when there was none."""

    position: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One model's line at one moment."""

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


class _Line:
    """The slots of one model and those who wait for them, a short queue for each client."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.waiting = 0
        self.usual_s = _FIRST_GUESS_S
        self._clients: OrderedDict[str, deque[_Waiter]] = OrderedDict()

    def slots_of(self, weight: int) -> int:
        """The slots that a request with so many answers takes: what is beyond them, the engine does in turn."""
        return min(weight, self.limit)

    def has_room(self, weight: int) -> bool:
        return self.running + self.slots_of(weight) <= self.limit

    def join(self, waiter: _Waiter) -> None:
        self._clients.setdefault(waiter.client, deque()).append(waiter)
        self.waiting += 1

    def leave(self, waiter: _Waiter) -> None:
        own = self._clients[waiter.client]
        own.remove(waiter)
        self.waiting -= 1
        if not own:
            del self._clients[waiter.client]
        self.grant()  # it may have been the one that gathered slots

    def grant(self) -> None:
        """Fill the free slots: one request of each client in turn, oldest first within a client."""
        while self._clients:
            client, own = next(iter(self._clients.items()))
            if not self.has_room(own[0].weight):
                return
            waiter = own.popleft()
            self._clients.move_to_end(client)
            if not own:
                del self._clients[client]
            self.waiting -= 1
            waiter.slots = self.slots_of(waiter.weight)
            self.running += waiter.slots
            waiter.granted.set()

    def release(self, slots: int, took_s: float) -> None:
        self.running -= slots
        self.usual_s += _SMOOTHING * (took_s - self.usual_s)
        self.grant()

    def retry_after_s(self) -> int:
        """When a place in line is likely: what usually ends one request, by the slots there are."""
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(self.usual_s / self.limit)))

    def longest_wait_s(self, now: float) -> float:
        return max((now - own[0].since for own in self._clients.values()), default=0.0)


class FairQueue:
    """Owner of all lines; `most_waiting` is asked for each request, so a changed setting holds at once."""

    def __init__(self, most_waiting: Callable[[], int]) -> None:
        self._most_waiting = most_waiting
        self._lines: dict[str, _Line] = {}

    def set_limit(self, model_id: str, limit: int) -> None:
        """How many requests the model answers at once; more slots are taken by those who wait."""
        line = self._lines.get(model_id)
        if line is None:
            self._lines[model_id] = _Line(limit)
        elif line.limit != limit:
            line.limit = limit
            line.grant()

    @asynccontextmanager
    async def slot(
        self, model_id: str, client: str, *, weight: int = 1, is_readmitted: bool = False
    ) -> AsyncIterator[Ticket]:
        """Slots for the time of the block, one for each of `weight` answers; waits for them in turn.

        `set_limit` comes first. `is_readmitted` passes the bound: it had a place already. Raises QueueFull.
        """
        line = self._lines[model_id]
        waiter = _Waiter(client, monotonic(), weight)
        position = await self._wait(line, waiter, is_readmitted)
        began = monotonic()
        try:
            yield Ticket(position, began - waiter.since if position else 0.0)
        finally:
            line.release(waiter.slots, monotonic() - began)

    async def _wait(self, line: _Line, waiter: _Waiter, is_readmitted: bool) -> int:
        """The place in line that it had, when its slots are granted; 0 when it did not wait."""
        if not line.waiting and line.has_room(waiter.weight):
            line.join(waiter)
            line.grant()
            return 0
        most = self._most_waiting()
        if line.waiting >= most and not is_readmitted:
            raise QueueFull(line.waiting, line.retry_after_s())
        line.join(waiter)
        position = line.waiting
        try:
            with anyio.move_on_after(QUEUE_TIMEOUT_S):
                await waiter.granted.wait()
        except BaseException:
            if waiter.granted.is_set():
                line.release(waiter.slots, line.usual_s)
            else:
                line.leave(waiter)
            raise
        if not waiter.granted.is_set():
            line.leave(waiter)
            raise QueueFull(line.waiting, line.retry_after_s())
        return position

    def snapshot(self) -> dict[str, QueueStats]:
        """By model id: what runs and what waits now."""
        now = monotonic()
        return {
            model_id: QueueStats(line.limit, line.running, line.waiting, line.longest_wait_s(now))
            for model_id, line in self._lines.items()
        }
