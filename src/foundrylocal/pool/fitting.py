"""A load fitted into memory: who leaves for it, and how large its context becomes when it is "auto"; pure.

Invariant: nobody leaves for a context above the least that "auto" may be. When somebody has to leave for that one,
the context grows into what they leave free, and no layer moves from the GPU to the machine for it. A context that
somebody asked for is never made smaller to fit.
"""

from __future__ import annotations

from dataclasses import dataclass

from foundrylocal.catalog.memory import MemoryEstimate, estimate_from_size
from foundrylocal.catalog.registry import Model
from foundrylocal.catalog.shapes import ExpectedFiles, expected_files
from foundrylocal.pool.context_size import auto_context_bounds, largest_fitting
from foundrylocal.pool.drafts import add, memory_of
from foundrylocal.pool.placement import Placement, place
from foundrylocal.pool.plan import Facts
from foundrylocal.pool.room import Room, decide
from foundrylocal.pool.supply import ModelFiles
from foundrylocal.wire.load_options import EffectiveOptions

_LOWER_BOUND = (
    "The model is not downloaded yet: the memory it needs is a lower bound, its file without its context."
)
_BY_THE_CATALOG = (
    "The model is not downloaded yet: the memory it needs is calculated from its dimensions in the catalog."
)


@dataclass(frozen=True, slots=True)
class Fit:
    """What a load takes, where, and who leaves for it; `note` says why "auto" is less than it could be."""

    options: EffectiveOptions
    need: MemoryEstimate
    placement: Placement
    room: Room
    note: str | None = None


def context_bounds(model: Model, files: ModelFiles | ExpectedFiles | None) -> tuple[int, int]:
    """The least and the most tokens that "auto" may be for this model, by its file or else by the catalog."""
    files = files or expected_files(model)
    if files is None:
        return auto_context_bounds(model.context_length)
    header = files.header
    is_single_batch = header.is_embedding or header.is_reranker
    return auto_context_bounds(header.context_length, is_single_batch=is_single_batch)


def memory_basis(model: Model, files: ModelFiles | None) -> str | None:
    """What the memory of a model that is not downloaded is known by; None for one that is on disk."""
    if files is not None:
        return None
    return _LOWER_BOUND if expected_files(model) is None else _BY_THE_CATALOG


def fit(model: Model, facts: Facts, options: EffectiveOptions, *, may_replace_current: bool = False) -> Fit:
    """Fit a load with these options, whose context is the least one when it is "auto"."""
    files = facts.files or expected_files(model)
    if files is None:
        need = estimate_from_size(model.file_size_bytes)
        placement = place(need, None, options.gpu_layers, facts.devices)
        # Nothing is known of a model whose size its publisher does not tell: the download will.
        is_known = model.file_size_bytes > 0
        room = _room(model, facts, placement, may_replace_current) if is_known else Room((), None)
        return Fit(options, need, placement, room)
    need, placement = _place(files, facts, options)
    room = _room(model, facts, placement, may_replace_current)
    if facts.wanted.values.context_size != "auto":
        return Fit(options, need, placement, room)
    return _grow(model, files, facts, Fit(options, need, placement, room))


def _grow(model: Model, files: ModelFiles | ExpectedFiles, facts: Facts, smallest: Fit) -> Fit:
    """The same with the largest context that fits into what is free, once those who leave have left."""
    least, most = context_bounds(model, files)
    if smallest.room.refusal is not None:
        return smallest
    free_bytes = (
        facts.free_bytes + sum(one.memory_bytes for one in smallest.room.victims) - facts.margin_bytes
    )

    def fits(tokens: int) -> bool:
        _, larger = _place(files, facts, _with_context(smallest.options, tokens))
        keeps_layers = larger.fits_gpu and larger.layers >= smallest.placement.layers
        return keeps_layers and larger.host_bytes <= free_bytes

    tokens = largest_fitting(least, most, fits)
    options = _with_context(smallest.options, tokens)
    need, placement = _place(files, facts, options)
    note = None
    if tokens < most:
        note = f"context_size auto is {tokens} tokens instead of {most}: there is not enough memory for more."
    return Fit(options, need, placement, smallest.room, note)


def _place(
    files: ModelFiles | ExpectedFiles, facts: Facts, options: EffectiveOptions
) -> tuple[MemoryEstimate, Placement]:
    need = add(files.estimate(options), memory_of(options, files.header, facts.draft))
    need = add(need, MemoryEstimate(facts.adapter_bytes, 0, 0))
    return need, place(need, files.header.block_count, options.gpu_layers, facts.devices)


def _room(model: Model, facts: Facts, placement: Placement, may_replace_current: bool) -> Room:
    return decide(
        placement,
        facts.free_bytes,
        facts.candidates,
        model_id=model.model_id,
        may_replace_current=may_replace_current,
    )


def _with_context(options: EffectiveOptions, tokens: int) -> EffectiveOptions:
    return options.model_copy(update={"context_size": tokens})
