"""How the replicas of a model are spread over nodes: which one moves where, and which one leaves first; pure.

After a node was lost its replicas are loaded beside their siblings, and they stay there when a node returns. Then the
next loss would take several at once. Invariants: only an idle replica moves, to a node that has the memory with
nobody leaving, and only where the model is spread better after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from foundrylocal.engine.replica import ReplicaSpec, Room
from foundrylocal.pool.rooms import has_gpu_room

# So long nobody has used a replica that moves: between two turns of a conversation it keeps its prompts.
MIN_IDLE_S = 10.0


class Placed(Protocol):
    """What is asked of a replica here; `last_used` in seconds of the same clock as `now`."""

    @property
    def node(self) -> str: ...

    @property
    def spec(self) -> ReplicaSpec: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def last_used(self) -> float: ...


R = TypeVar("R", bound=Placed)


@dataclass(frozen=True, slots=True)
class Move(Generic[R]):
    """A replica that is loaded on `node` too and then leaves where it is."""

    replica: R
    node: str


def is_crowded(replicas: Sequence[Placed]) -> bool:
    """Whether two of them are on one node of a cluster: another node might take one."""
    counts = Counter(one.node for one in replicas if one.node)
    return any(count > 1 for count in counts.values())


def least_needed(replicas: Sequence[R]) -> R | None:
    """The one that leaves when one too many is there: an idle one of the fullest node, there the newest.

    `replicas` are given oldest first. None while each of them answers a request.
    """
    counts = Counter(one.node for one in replicas)
    idle = [one for one in replicas if not one.in_flight]
    return max(reversed(idle), key=lambda one: counts[one.node], default=None)


def choose_move(replicas: Sequence[R], rooms: Sequence[Room], now: float) -> Move[R] | None:
    """The best move of one of a model's replicas, all of which are given; None when each stays where it is.

    It moves from the node that has most of them to one that has at least two fewer; of those the one with the fewest,
    then one with the model's files, then that with most memory.
    """
    counts = Counter(one.node for one in replicas)
    idle = [one for one in replicas if not one.in_flight and now - one.last_used >= MIN_IDLE_S]
    # Of the fullest node the one that was unused for longest.
    for one in sorted(idle, key=lambda one: (-counts[one.node], one.last_used)):
        suitable = [
            room
            for room in rooms
            if not room.is_suspect
            and counts[room.node] + 2 <= counts[one.node]
            and one.spec.memory_bytes <= room.free_bytes
            and has_gpu_room(room, one.spec)
        ]
        if suitable:
            best = min(suitable, key=lambda room: (counts[room.node], not room.has_files, -room.free_bytes))
            return Move(one, best.node)
    return None
