"""Whether there is room for a load, and who leaves for it; pure.

Invariant: it chooses by the same rule as the load itself (`pool/eviction.py`), so that a plan and a load agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foundrylocal.errors import FoundryLocalError, InsufficientMemory
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool.eviction import Candidate, Refusal, choose_victims
from foundrylocal.pool.placement import Placement


@dataclass(frozen=True, slots=True)
class Room:
    """Who leaves for a load, or why it cannot be."""

    victims: tuple[Candidate, ...]
    refusal: FoundryLocalError | None
    replaces_pinned: bool = False


def decide(
    placement: Placement,
    free_bytes: int,
    candidates: Iterable[Candidate],
    *,
    model_id: str,
    may_replace_pinned: bool = False,
) -> Room:
    """Whether there is room and who leaves for it; a pinned model only with `may_replace_pinned`, and last."""
    if not placement.fits_gpu:
        return Room((), _too_large(placement.gpu_bytes, placement.gpu_free_bytes, "on the GPU"))
    those = tuple(candidates)
    beside = choose_victims(placement.host_bytes, free_bytes, those, for_model_id=model_id)
    if not isinstance(beside, Refusal):
        return Room(beside, None)
    if may_replace_pinned:
        # The pinned model leaves by the switch anyway, so that its memory counts as free.
        pinned = tuple(one for one in those if one.is_pinned and not one.is_leaving)
        freed = free_bytes + sum(one.memory_bytes for one in pinned)
        others = tuple(one for one in those if one not in pinned)
        instead = choose_victims(placement.host_bytes, freed, others, for_model_id=model_id)
        if not isinstance(instead, Refusal) and pinned:
            return Room(instead + pinned, None, replaces_pinned=True)
    return Room((), _too_large(beside.needed_bytes, beside.free_bytes))


def _too_large(needed_bytes: int, free_bytes: int, where: str = "") -> InsufficientMemory:
    free = format_bytes(max(0, free_bytes))
    return InsufficientMemory(format_bytes(needed_bytes), f"{free} {where}" if where else free)
