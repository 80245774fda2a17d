"""In which room a load goes, and who leaves for it there; pure. A room is what one node could give a replica now.

Invariants: nobody leaves while any room has the memory, and whoever leaves is needed, in the room of the load; a
refusal unloads nobody; a suspect room gets nothing. A plan and the load itself both choose here, so that they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from foundrylocal.catalog.names import simple_name
from foundrylocal.engine.replica import ReplicaSpec, Room
from foundrylocal.errors import InsufficientMemory
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool.eviction import Candidate, Refusal, choose_victims


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """The node that a load goes to, and the replicas that leave for it there, first to last.

    `replaces_current`: the server's own model is among them, since there is no room for both.
    """

    node: str
    leaving: tuple[Candidate, ...] = ()
    replaces_current: bool = False


def plan_room(
    model_id: str,
    need_bytes: int | Mapping[str, int],
    rooms: Iterable[Room],
    held: Sequence[Candidate],
    *,
    may_replace_current: bool = False,
) -> RoomPlan | Refusal:
    """The room where a replica of the model costs the others least, or why there is none.

    `need_bytes` may differ by node, and a node that is not among them cannot run it at all. `held` are the replicas
    in memory, on all nodes. The server's own model leaves only with `may_replace_current`, and last; a model that its
    user pinned only for a replica of its own.
    """
    usable = [room for room in rooms if not room.is_suspect]
    needs = need_bytes if isinstance(need_bytes, Mapping) else {room.node: need_bytes for room in usable}
    usable = [room for room in usable if room.node in needs]
    options: list[tuple[Room, RoomPlan]] = []
    for room in usable:
        here = [one for one in held if one.node == room.node]
        found = _plan_here(model_id, needs[room.node], room, here, may_replace_current)
        if found is not None:
            options.append((room, found))
    if options:
        return min(options, key=lambda option: _cost(option[0], option[1], model_id, held))[1]
    roomiest = max(usable, key=lambda room: room.free_bytes, default=None)
    if roomiest is None:
        return Refusal(need_bytes if isinstance(need_bytes, int) else 0, 0)
    return Refusal(needs[roomiest.node], max(0, roomiest.free_bytes))


def _plan_here(
    model_id: str, need_bytes: int, room: Room, held: Sequence[Candidate], may_replace_current: bool
) -> RoomPlan | None:
    beside = choose_victims(need_bytes, room.free_bytes, held, for_model_id=model_id)
    if not isinstance(beside, Refusal):
        return RoomPlan(room.node, beside)
    if not may_replace_current:
        return None
    # The server's own model leaves by the switch anyway, so that its memory counts as free.
    current = tuple(
        one
        for one in held
        if one.is_current and not one.is_leaving and (not one.is_pinned or one.model_id == model_id)
    )
    freed_bytes = room.free_bytes + sum(one.memory_bytes for one in current)
    others = [one for one in held if one not in current]
    instead = choose_victims(need_bytes, freed_bytes, others, for_model_id=model_id)
    if isinstance(instead, Refusal) or not current:
        return None
    return RoomPlan(room.node, instead + current, replaces_current=True)


def _cost(room: Room, plan: RoomPlan, model_id: str, held: Sequence[Candidate]) -> tuple[object, ...]:
    """What the choice asks of others, then what suits the replica itself; smaller is better.

    Replicas of one model are spread over the nodes, since a lost node takes all of its own with it, and a node that
    has most to spare has the most idle cores too.
    """
    leaving = [one for one in plan.leaving if not one.is_leaving]
    return (
        plan.replaces_current,
        sum(one.is_busy for one in leaving),
        len(leaving),
        len(plan.leaving),
        max((one.last_used for one in leaving), default=0.0),
        sum(one.model_id == model_id and one.node == room.node and not one.is_leaving for one in held),
        not room.has_files,
        -room.free_bytes,
        room.node,
    )


def has_gpu_room(room: Room, spec: ReplicaSpec) -> bool:
    """Whether the GPUs of a node can take what the replica was planned to have there.

    This machine's engine says what is free on its GPUs, and a plan has just asked it.
    """
    return not room.node or spec.gpu_bytes <= sum(room.gpus)


def no_room(short: Refusal, held: Iterable[Candidate], model_id: str) -> InsufficientMemory:
    """Why there is no room, with the models that keep it and what frees it."""
    error = too_large(short.needed_bytes, short.free_bytes)
    others = [one for one in held if one.model_id != model_id]
    if pinned := {simple_name(one.model_id) for one in others if one.is_pinned}:
        names = ", ".join(sorted(pinned))
        error.details = f"{error.details} Pinned models stay in memory: {names}. Unpin one to make room."
    current = [one for one in others if one.is_current and not one.is_pinned]
    if current and short.free_bytes + sum(one.memory_bytes for one in current) >= short.needed_bytes:
        name = simple_name(current[0].model_id)
        error.details = (
            f"{error.details} The server's current model, {name}, stays: switch to this model instead."
        )
    return error


def too_large(needed_bytes: int, free_bytes: int, where: str = "") -> InsufficientMemory:
    """A refusal for lack of memory; `where` follows what is free."""
    free = format_bytes(max(0, free_bytes))
    return InsufficientMemory(format_bytes(needed_bytes), f"{free} {where}" if where else free)
