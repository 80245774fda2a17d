"""A load fitted into memory: in which room, who leaves for it, and how large an "auto" context becomes; pure.

Invariant: nobody leaves for a context above the least that "auto" may be. When somebody has to leave for that one,
the context grows into what they leave free, and no layer moves from the GPU to the machine for it. A context that
somebody asked for is never made smaller to fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from foundrylocal.catalog.memory import MemoryEstimate, estimate_from_size
from foundrylocal.catalog.registry import Model
from foundrylocal.catalog.shapes import ExpectedFiles, expected_files
from foundrylocal.engine.devices import Device, DeviceKind, free_gpu_bytes
from foundrylocal.engine.engine import BUILT_IN
from foundrylocal.engine.replica import Room
from foundrylocal.errors import FoundryLocalError
from foundrylocal.pool.context_size import auto_context_bounds, largest_fitting
from foundrylocal.pool.drafts import add, memory_of
from foundrylocal.pool.eviction import Candidate, Refusal
from foundrylocal.pool.placement import Placement, place
from foundrylocal.pool.plan import Facts
from foundrylocal.pool.rooms import no_room, plan_room, too_large
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
    """What a load takes, in which room, and who leaves for it; `note` says why "auto" is less than it could be."""

    options: EffectiveOptions
    need: MemoryEstimate
    placement: Placement
    room: Room
    leaving: tuple[Candidate, ...] = ()
    replaces_current: bool = False
    refusal: FoundryLocalError | None = None
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


def devices_of(room: Room, here: tuple[Device, ...]) -> tuple[Device, ...]:
    """What an engine in the room can compute on; `here` are the devices that the engine of this machine reports."""
    if not room.node:
        return here
    return tuple(
        Device(f"GPU {number} of {room.node}", DeviceKind.GPU, free_bytes, free_bytes)
        for number, free_bytes in enumerate(room.gpus)
    )


def rooms_of_engine(
    rooms: tuple[Room, ...], engine: str | None, here: tuple[Device, ...]
) -> tuple[Room, ...]:
    """The rooms with the GPUs that the engine can use: the built-in one is the same build on all nodes as here."""
    if engine not in (None, BUILT_IN) or free_gpu_bytes(here):
        return rooms
    return tuple(replace(room, gpus=()) for room in rooms)


def fit(model: Model, facts: Facts, options: EffectiveOptions, *, may_replace_current: bool = False) -> Fit:
    """Fit a load with these options, whose context is the least one when it is "auto"."""
    files = facts.files or expected_files(model)
    if files is None:
        need = estimate_from_size(model.file_size_bytes)
        smallest = _fit_somewhere(model, facts, options, need, None, may_replace_current)
        # Nothing is known of a model whose size its publisher does not tell: the download will.
        is_known = model.file_size_bytes > 0
        return smallest if is_known else Fit(options, need, smallest.placement, smallest.room)
    need = _need(files, facts, options)
    smallest = _fit_somewhere(model, facts, options, need, files.header.block_count, may_replace_current)
    if facts.wanted.values.context_size != "auto" or smallest.refusal is not None:
        return smallest
    return _grow(model, files, facts, smallest)


def _fit_somewhere(
    model: Model,
    facts: Facts,
    options: EffectiveOptions,
    need: MemoryEstimate,
    block_count: int | None,
    may_replace_current: bool,
) -> Fit:
    """In the room where it costs the others least; in the roomiest, with the refusal, when it fits in none."""
    rooms = {room.node: room for room in facts.rooms if not room.is_suspect} or {"": Room("", 0)}
    placements = {
        node: place(need, block_count, options.gpu_layers, devices_of(room, facts.devices))
        for node, room in rooms.items()
    }
    fitting = {node: one.host_bytes for node, one in placements.items() if one.fits_gpu}
    found = plan_room(
        model.model_id, fitting, rooms.values(), facts.candidates, may_replace_current=may_replace_current
    )
    if not isinstance(found, Refusal):
        node = found.node
        return Fit(options, need, placements[node], rooms[node], found.leaving, found.replaces_current)
    roomiest = max(rooms.values(), key=lambda room: (room.node in fitting, room.free_bytes))
    refusal = _refusal(model, facts, placements[roomiest.node], found)
    return Fit(options, need, placements[roomiest.node], roomiest, refusal=refusal)


def _refusal(model: Model, facts: Facts, placement: Placement, short: Refusal) -> FoundryLocalError:
    if not placement.fits_gpu:
        return too_large(placement.gpu_bytes, placement.gpu_free_bytes, "on the GPU")
    return no_room(short, facts.candidates, model.model_id)


def _grow(model: Model, files: ModelFiles | ExpectedFiles, facts: Facts, smallest: Fit) -> Fit:
    """The same with the largest context that fits into what is free, once those who leave have left."""
    least, most = context_bounds(model, files)
    freed_bytes = sum(one.memory_bytes for one in smallest.leaving)
    free_bytes = smallest.room.free_bytes + freed_bytes - facts.margin_bytes
    place_with = _placer(files, facts, smallest)

    def fits(tokens: int) -> bool:
        _, _, larger = place_with(tokens)
        keeps_layers = larger.fits_gpu and larger.layers >= smallest.placement.layers
        return keeps_layers and larger.host_bytes <= free_bytes

    tokens = largest_fitting(least, most, fits)
    options, need, placement = place_with(tokens)
    note = None
    if tokens < most:
        note = f"context_size auto is {tokens} tokens instead of {most}: there is not enough memory for more."
    return Fit(
        options, need, placement, smallest.room, smallest.leaving, smallest.replaces_current, note=note
    )


def _placer(
    files: ModelFiles | ExpectedFiles, facts: Facts, smallest: Fit
) -> Callable[[int], tuple[EffectiveOptions, MemoryEstimate, Placement]]:
    """What so many tokens of context take in the room that was chosen."""
    devices = devices_of(smallest.room, facts.devices)

    def place_with(tokens: int) -> tuple[EffectiveOptions, MemoryEstimate, Placement]:
        options = smallest.options.model_copy(update={"context_size": tokens})
        need = _need(files, facts, options)
        return options, need, place(need, files.header.block_count, options.gpu_layers, devices)

    return place_with


def _need(files: ModelFiles | ExpectedFiles, facts: Facts, options: EffectiveOptions) -> MemoryEstimate:
    need = add(files.estimate(options), memory_of(options, files.header, facts.draft))
    return add(need, MemoryEstimate(facts.adapter_bytes, 0, 0))
