"""The calls to Ray: connect, list nodes, create, find and end actors.

Ray blocks in most of them, for as long as its control service (GCS) does not answer, so each runs in a thread and
has a bound. Invariant: nothing of another namespace, which is another service's, is listed or ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from foundrylocal.engine.ray.orders import ListedNode
from foundrylocal.engine.ray.replica import ReplicaActor

CALL_TIMEOUT_S = 10.0
# NodeDeathInfo.EXPECTED_TERMINATION in Ray's gcs.proto: such a node is not lost.
_LEFT_IN_ORDER = 1
T = TypeVar("T")
Args = TypeVarTuple("Args")


def connect(address: str, own_address: str, namespace: str) -> None:
    """Become a driver of the cluster, on the node of this machine; blocks. Raises whatever Ray raises."""
    ray.init(
        address=address,
        namespace=namespace,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address=own_address,
    )


class Cluster:
    """The cluster that this process is a driver of; nodes go by their addresses."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._own_id = str(ray.get_runtime_context().get_node_id())
        self._listing: asyncio.Task[list[ListedNode]] | None = None

    async def nodes(self) -> list[ListedNode]:
        """All nodes, lost ones too, but none that left in order. Callers share one call. Raises TimeoutError."""
        if self._listing is None or self._listing.done():
            self._listing = asyncio.create_task(_in_thread(self._list))
        return await asyncio.wait_for(asyncio.shield(self._listing), CALL_TIMEOUT_S)

    def _list(self) -> list[ListedNode]:
        free = ray._private.state.available_resources_per_node()
        return [
            ListedNode(
                name=str(node["NodeManagerAddress"]),
                node_id=str(node["NodeID"]),
                is_alive=bool(node["Alive"]),
                is_own=node["NodeID"] == self._own_id,
                total_bytes=int(node["Resources"].get("memory", 0)),
                free_bytes=int(free.get(node["NodeID"], {}).get("memory", 0)),
                gpus=int(node["Resources"].get("GPU", 0)),
                labels=dict(node.get("Labels") or {}),
            )
            for node in ray.nodes()
            if node["Alive"] or node.get("DeathReason") != _LEFT_IN_ORDER
        ]

    async def own(self) -> ListedNode | None:
        """The node that this process is on, unless it has left the cluster."""
        return next((node for node in await self.nodes() if node.is_own and node.is_alive), None)

    async def alive(self, name: str) -> ListedNode | None:
        """The living node of that name; after a restart of a node there is a dead one of the same name."""
        return next((node for node in await self.nodes() if node.name == name and node.is_alive), None)

    # --- actors -------------------------------------------------------------------------------------------

    async def create(self, name: str, node: ListedNode, memory_bytes: int, gpus: float) -> ActorHandle:
        """An actor on that node alone, which outlives this process. Raises TimeoutError and Ray's errors."""
        return await asyncio.wait_for(
            _in_thread(self._create, name, node, memory_bytes, gpus), CALL_TIMEOUT_S
        )

    def _create(self, name: str, node: ListedNode, memory_bytes: int, gpus: float) -> ActorHandle:
        actor = ray.remote(ReplicaActor).options(
            name=name,
            namespace=self._namespace,
            lifetime="detached",
            num_cpus=0,
            num_gpus=gpus,
            memory=memory_bytes,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False),
        )
        return actor.remote()

    async def find(self, name: str) -> ActorHandle | None:
        """The actor of that name, if it lives. Raises TimeoutError."""
        return await asyncio.wait_for(_in_thread(self._find, name), CALL_TIMEOUT_S)

    def _find(self, name: str) -> ActorHandle | None:
        try:
            return ray.get_actor(name, namespace=self._namespace)
        except ValueError:
            return None

    async def names(self) -> list[str]:
        """The names of all living actors of this service. Raises TimeoutError."""
        return await asyncio.wait_for(_in_thread(ray.util.list_named_actors), CALL_TIMEOUT_S)

    async def end(self, actor: ActorHandle) -> None:
        """End its process at once, and with it the worker. Raises TimeoutError."""
        await asyncio.wait_for(_in_thread(_kill, actor), CALL_TIMEOUT_S)


def _kill(actor: ActorHandle) -> None:
    ray.kill(actor, no_restart=True)


async def _in_thread(work: Callable[[*Args], T], *args: *Args) -> T:
    return await asyncio.to_thread(work, *args)
