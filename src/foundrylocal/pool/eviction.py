"""Which replicas have to leave memory for another one: a pure function, so that a plan and a load agree.

Invariant: neither the server's own model nor a pinned one leaves for another, nobody leaves in vain, and nobody
leaves for a model that would not fit anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica in the memory of a node as eviction sees it; `last_used` in seconds of any one clock.

    `is_current` is the server's own model, `is_pinned` one that its user pinned. `is_leaving` is one that takes no
    new requests already: to wait for it costs nobody anything.
    """

    id: str
    model_id: str
    memory_bytes: int
    last_used: float = 0.0
    is_current: bool = False
    is_pinned: bool = False
    is_busy: bool = False
    is_leaving: bool = False
    node: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """There is not enough memory, even if everybody left who may; `free_bytes` is what is free now, at least 0."""

    needed_bytes: int
    free_bytes: int


def choose_victims(
    needed_bytes: int, free_bytes: int, candidates: Iterable[Candidate], *, for_model_id: str | None = None
) -> tuple[Candidate, ...] | Refusal:
    """The replicas that have to leave, first to last, so that `needed_bytes` are free; empty when they are.

    Those that are leaving come first, then idle ones, then the least recently used. Replicas of `for_model_id`
    itself come last: the new replica replaces them, if there is room for both only once it is ready. `free_bytes`
    may be below 0 in a shortage.
    """
    order = sorted(
        (one for one in candidates if one.is_leaving or _may_leave(one, for_model_id)),
        key=lambda one: (not one.is_leaving, one.model_id == for_model_id, one.is_busy, one.last_used),
    )
    victims: list[Candidate] = []
    freed_bytes = free_bytes
    for one in order:
        if freed_bytes >= needed_bytes:
            break
        victims.append(one)
        freed_bytes += one.memory_bytes
    if freed_bytes < needed_bytes:
        return Refusal(needed_bytes, max(0, free_bytes))
    # A large victim may have made a smaller one before it unnecessary; the one used last stays first.
    for one in reversed(victims[:-1]):
        if freed_bytes - one.memory_bytes >= needed_bytes:
            victims.remove(one)
            freed_bytes -= one.memory_bytes
    return tuple(victims)


def _may_leave(one: Candidate, for_model_id: str | None) -> bool:
    """A pinned replica leaves only for another replica of its own model."""
    return not one.is_current and (not one.is_pinned or one.model_id == for_model_id)
