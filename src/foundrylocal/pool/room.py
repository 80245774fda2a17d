"""Whether there is room for a load, and who leaves for it; pure.

Invariant: it chooses by the same rule as the load itself (`pool/eviction.py`), so that a plan and a load agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from foundrylocal.catalog.names import simple_name
from foundrylocal.errors import FoundryLocalError, InsufficientMemory
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool.eviction import Candidate, Refusal, choose_victims
from foundrylocal.pool.placement import Placement


@dataclass(frozen=True, slots=True)
class Room:
    """Who leaves for a load, or why it cannot be."""

    victims: tuple[Candidate, ...]
    refusal: FoundryLocalError | None
    replaces_current: bool = False


def decide(
    placement: Placement,
    free_bytes: int,
    candidates: Iterable[Candidate],
    *,
    model_id: str,
    may_replace_current: bool = False,
) -> Room:
    """Whether there is room and who leaves for it; the server's own model only with `may_replace_current`, and last.

    A model that its user pinned never leaves, except for a replica of its own.
    """
    if not placement.fits_gpu:
        return Room((), _too_large(placement.gpu_bytes, placement.gpu_free_bytes, "on the GPU"))
    those = tuple(candidates)
    beside = choose_victims(placement.host_bytes, free_bytes, those, for_model_id=model_id)
    if not isinstance(beside, Refusal):
        return Room(beside, None)
    if may_replace_current:
        # The server's own model leaves by the switch anyway, so that its memory counts as free.
        current = tuple(
            one
            for one in those
            if one.is_current and not one.is_leaving and (not one.is_pinned or one.model_id == model_id)
        )
        freed = free_bytes + sum(one.memory_bytes for one in current)
        others = tuple(one for one in those if one not in current)
        instead = choose_victims(placement.host_bytes, freed, others, for_model_id=model_id)
        if not isinstance(instead, Refusal) and current:
            return Room(instead + current, None, replaces_current=True)
    return Room((), no_room(beside, those, model_id))


def no_room(short: Refusal, candidates: Iterable[Candidate], model_id: str) -> InsufficientMemory:
    """Why there is no room, with the pinned models that keep it."""
    error = _too_large(short.needed_bytes, short.free_bytes)
    others = {simple_name(one.model_id) for one in candidates if one.is_pinned} - {simple_name(model_id)}
    if others:
        names = ", ".join(sorted(others))
        error.details = f"{error.details} Pinned models stay in memory: {names}. Unpin one to make room."
    return error


def _too_large(needed_bytes: int, free_bytes: int, where: str = "") -> InsufficientMemory:
    free = format_bytes(max(0, free_bytes))
    return InsufficientMemory(format_bytes(needed_bytes), f"{free} {where}" if where else free)
