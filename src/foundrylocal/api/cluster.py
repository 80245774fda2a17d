"""Describes the nodes and the replicas on them, as /cluster renders them; gathers it and owns nothing.

Invariant: a cluster that does not answer is part of the answer, never an error: replicas that run still serve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundrylocal.engine.node import NodeState, NodeStatus, own_versions
from foundrylocal.engine.replica import ReplicaStatus
from foundrylocal.errors import ClusterUnreachable
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica


async def describe_cluster(pool: Pool, address: str | None) -> dict[str, Any]:
    """The whole answer; `address` is the head of the cluster that the service has joined."""
    nodes, problem = list[NodeStatus](), None
    try:
        nodes = await pool.nodes()
    except ClusterUnreachable as error:
        problem = error
    statuses = {status.id: status for status in await pool.statuses()}
    replicas = [render_replica(replica, statuses) for replica in pool.with_memory()]
    return {
        "address": address,
        "state": "local" if address is None else "connected" if problem is None else "unreachable",
        "message": None if problem is None else problem.message,
        "action": None if problem is None else problem.details,
        "nodes": [render_node(node) for node in nodes],
        "total_count": len(nodes),
        "replicas": replicas,
        "suspects": [
            *(node.name for node in nodes if node.state is NodeState.SUSPECT),
            *(replica["id"] for replica in replicas if replica["is_suspect"]),
        ],
    }


def render_node(node: NodeStatus) -> dict[str, Any]:
    """One entry of `nodes`."""
    versions = node.versions
    return {
        "name": node.name,
        "address": node.address,
        "state": node.state.value,
        "reason": node.reason,
        "is_service": node.is_service,
        "memory_bytes": node.memory_bytes,
        "free_bytes": node.free_bytes,
        "gpus": list(node.gpus),
        "versions": {"foundrylocal": versions.foundrylocal, "python": versions.python, "ray": versions.ray},
        "has_other_version": versions.foundrylocal not in (None, own_versions().foundrylocal),
    }


def render_replica(replica: Replica, statuses: Mapping[str, ReplicaStatus]) -> dict[str, Any]:
    """One entry of `replicas`; `statuses` are the launcher's, by id."""
    status = statuses.get(replica.spec.id)
    return {
        "id": replica.spec.id,
        "model": replica.model.simple_name,
        "model_id": replica.model.model_id,
        "node": replica.node,
        "state": replica.state.value,
        "is_suspect": replica.is_suspect,
        "slots": replica.spec.parallel,
        "in_flight": replica.in_flight,
        "memory_bytes": status.memory_bytes if status else 0,
    }
