"""Which of a model's replicas gets a request, and how many requests they answer at once; pure.

Invariants: a suspect replica gets nothing while another one can answer. A conversation stays with its replica while
that one is at most one request ahead of the least busy one, and has a slot to spare if any has.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Protocol, TypeVar


class Usable(Protocol):
    """What is asked of a replica here."""

    @property
    def id(self) -> str: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def slots(self) -> int: ...

    @property
    def is_suspect(self) -> bool: ...


R = TypeVar("R", bound=Usable)


def trusted(replicas: Sequence[R]) -> list[R]:
    """Those that are not suspect; all of them when nobody else is left to ask."""
    return [one for one in replicas if not one.is_suspect] or list(replicas)


def pick(replicas: Sequence[R], opening: bytes, chance: random.Random) -> R:
    """The replica for a request, of at least one.

    `opening` is what later requests of the same conversation begin with too; empty for a request that is not one of a
    conversation, and goes to the least busy replica.
    """
    usable = trusted(replicas)
    if len(usable) == 1:
        return usable[0]
    least = min(map(_load, usable))
    if opening:
        conversation = hashlib.blake2b(opening, digest_size=16).digest()
        for one in sorted(usable, key=lambda one: _score(conversation, one.id), reverse=True):
            is_close = (one.in_flight - 1) / one.slots <= least
            if is_close and (one.in_flight < one.slots or least >= 1):
                return one
    return chance.choice([one for one in usable if _load(one) == least])


def slots_of(replicas: Sequence[Usable]) -> int:
    """Requests that they answer at the same time."""
    return sum(one.slots for one in trusted(replicas))


def _load(one: Usable) -> float:
    return one.in_flight / one.slots


def _score(conversation: bytes, replica_id: str) -> bytes:
    """Rendezvous hashing: a replica that comes or goes moves only the conversations that it gets or had."""
    return hashlib.blake2b(replica_id.encode(), key=conversation, digest_size=8).digest()
