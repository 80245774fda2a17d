"""What Ray lists of a node, in the words of the rest of the program."""

from __future__ import annotations

import foundrylocal
from foundrylocal.engine.node import NodeState, NodeStatus, NodeVersions
from foundrylocal.engine.ray.node.command import PYTHON_LABEL, RAY_LABEL, VERSION_LABEL
from foundrylocal.engine.ray.orders import ListedNode


def has_same_version(node: ListedNode) -> bool:
    """Whether it can run this service's replicas, as far as its labels say; its actor checks again."""
    return node.labels.get(VERSION_LABEL, foundrylocal.__version__) == foundrylocal.__version__


def status_of(node: ListedNode, free_bytes: int, *, is_suspect: bool) -> NodeStatus:
    """The node as GET /cluster shows it."""
    state, reason = NodeState.ALIVE, None
    if not node.is_alive:
        state, reason, free_bytes = NodeState.LOST, "The cluster has given it up.", 0
    elif is_suspect:
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
        gpus=(0,) * node.gpus,
        versions=NodeVersions(
            node.labels.get(VERSION_LABEL), node.labels.get(PYTHON_LABEL), node.labels.get(RAY_LABEL)
        ),
        reason=reason,
    )
