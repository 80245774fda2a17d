"""Whose turn it is at a model's slots: keys share the slots' time equally, and a key's clients take turns.

A key's share is time in slots, not a number of requests: one whose answers take ten times as long gets a slot ten
times less often. Only time under contention counts (another key was waiting), so a key that had the model to itself
owes nothing, and one that was away has saved nothing up.

Invariant: of the keys that wait, the one that has had the least contended time gets the next slot.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import anyio

MAX_REMEMBERED_KEYS = 256


@dataclass(eq=False)
class Waiter:
    """A request that waits for slots; `weight` is how many answers it asks for.

    One that is `decided` has got `slots`, or none when another key's request took its place in a full queue.
    """

    key: str
    client: str
    since: float
    weight: int
    is_readmitted: bool = False
    slots: int = 0
    decided: anyio.Event = field(default_factory=anyio.Event)


class _Share:
    """What one key has of a model: slots in use, the contended time it has had in slots, and its waiting requests."""

    def __init__(self) -> None:
        self.slots = 0
        self.used_s = 0.0
        self.clients: OrderedDict[str, deque[Waiter]] = OrderedDict()

    @property
    def is_active(self) -> bool:
        return bool(self.slots or self.clients)

    @property
    def waiting(self) -> int:
        return sum(len(waiters) for waiters in self.clients.values())


class KeyShares:
    """The waiting requests of one model by key and client; times are monotonic seconds, passed in."""

    def __init__(self) -> None:
        self.waiting = 0
        self._shares: OrderedDict[str, _Share] = OrderedDict()
        self._floor_s = 0.0  # what a key that comes back counts as having had
        self._accounted = 0.0

    def __iter__(self) -> Iterator[Waiter]:
        """The oldest waiting request of each client."""
        for share in self._shares.values():
            for waiters in share.clients.values():
                yield waiters[0]

    def add(self, waiter: Waiter, now: float) -> None:
        self._account(now)
        share = self._shares.get(waiter.key)
        if share is None:
            self._forget_idle()
            share = self._shares[waiter.key] = _Share()
        if not share.is_active:
            share.used_s = max(share.used_s, self._floor_s)
        share.clients.setdefault(waiter.client, deque()).append(waiter)
        self.waiting += 1

    def remove(self, waiter: Waiter, now: float) -> None:
        """The request no longer waits, and got no slot."""
        self._account(now)
        self._take(waiter)

    def next(self, usual_duration_s: float) -> Waiter | None:
        """The request whose turn it is; a slot in use counts as if its request took the usual time from now on."""
        waiting = [share for share in self._shares.values() if share.clients]
        if not waiting:
            return None
        first = min(waiting, key=lambda share: share.used_s + share.slots * usual_duration_s)
        return next(iter(first.clients.values()))[0]

    def displaced_by(self, key: str) -> Waiter | None:
        """The request that has to leave a full queue for one of `key`; None when no key has clearly more waiting."""
        share = self._shares.get(key)
        longest = max(self._shares.values(), key=lambda other: other.waiting, default=None)
        if longest is None or longest.waiting < (share.waiting if share else 0) + 2:
            return None
        # What had a place before (its worker crashed) keeps it.
        newest = [
            waiter for waiters in longest.clients.values() for waiter in waiters if not waiter.is_readmitted
        ]
        return max(newest, key=lambda waiter: waiter.since, default=None)

    def grant(self, waiter: Waiter, slots: int, now: float) -> None:
        """The request gets its slots, and its key and its client go to the back of those with an equal claim."""
        self._account(now)
        share = self._shares[waiter.key]
        self._floor_s = max(self._floor_s, share.used_s)
        self._take(waiter)
        if waiter.client in share.clients:
            share.clients.move_to_end(waiter.client)
        self._shares.move_to_end(waiter.key)
        share.slots += slots

    def release(self, key: str, slots: int, now: float) -> None:
        self._account(now)
        self._shares[key].slots -= slots

    def _take(self, waiter: Waiter) -> None:
        clients = self._shares[waiter.key].clients
        waiters = clients[waiter.client]
        waiters.remove(waiter)
        self.waiting -= 1
        if not waiters:
            del clients[waiter.client]

    def _account(self, now: float) -> None:
        """Charge the keys for their slots since the last change, if a key was waiting for another one's slot."""
        took_s, self._accounted = now - self._accounted, now
        if not self.waiting or len(self._shares) < 2:
            return
        active = [share for share in self._shares.values() if share.is_active]
        if len(active) > 1:
            for share in active:
                share.used_s += share.slots * took_s

    def _forget_idle(self) -> None:
        """Keys come and go; what the idle ones have had is forgotten when there are very many."""
        if len(self._shares) >= MAX_REMEMBERED_KEYS:
            for name in [name for name, share in self._shares.items() if not share.is_active]:
                del self._shares[name]
