"""What Ray lists of a node, in the words of the rest of the program."""

from __future__ import annotations

import foundrylocal
from foundrylocal.engine.node import NodeState, NodeStatus, NodeVersions
from foundrylocal.engine.ray.node.command import PYTHON_LABEL, RAY_LABEL, VERSION_LABEL
from foundrylocal.engine.ray.orders import ListedNode
from foundrylocal.engine.replica import Room


def has_same_version(node: ListedNode) -> bool:
    """Whether it can run this service's replicas, as far as its labels say; its actor checks again."""
    return node.labels.get(VERSION_LABEL, foundrylocal.__version__) == foundrylocal.__version__


def free_gpus(gpu_bytes: tuple[int, ...], held_bytes: int) -> tuple[int, ...]:
    """What is free of each GPU while replicas hold so much on all: an engine divides a model by their sizes."""
    total_bytes = max(1, sum(gpu_bytes))
    return tuple(max(0, one - held_bytes * one // total_bytes) for one in gpu_bytes)


def status_of(node: ListedNode, room: Room) -> NodeStatus:
    """The node as GET /cluster shows it."""
    state, reason, free_bytes = NodeState.ALIVE, None, room.free_bytes
    if not node.is_alive:
        state, reason, free_bytes = NodeState.LOST, "The cluster has given it up.", 0
    elif room.is_suspect:
        state, reason = NodeState.SUSPECT, "It failed a moment ago, so nothing new is placed on it for now."
    elif not has_same_version(node):
        reason = "It runs another version of FoundryLocal than the service: install the same one."
    return NodeStatus(
        node.name,
        node.name,
        state,
        is_service=node.is_own,
        memory_bytes=node.total_bytes,
        free_bytes=max(0, free_bytes),
        gpus=room.gpus or (0,) * node.gpus,
        versions=NodeVersions(
            node.labels.get(VERSION_LABEL), node.labels.get(PYTHON_LABEL), node.labels.get(RAY_LABEL)
        ),
        reason=reason,
    )
