"""What each node could give a further replica, by Ray's own list and by what this service has given away.

Invariant: nothing is promised twice: Ray's list is a moment late, so a replica counts from its launch on.
"""

from __future__ import annotations

from foundrylocal.engine.node import NodeStatus
from foundrylocal.engine.ray.link import Link
from foundrylocal.engine.ray.members import Members
from foundrylocal.engine.ray.node.command import labeled_gpus
from foundrylocal.engine.ray.node_listing import free_gpus, has_same_version, status_of
from foundrylocal.engine.ray.orders import FilesMode, ListedNode
from foundrylocal.engine.ray.suspects import Suspects
from foundrylocal.engine.replica import ReplicaSpec, Room
from foundrylocal.settings.store import SettingsStore

NODES_TIMEOUT_S = 5.0


class NodeRooms:
    """The owner of where models have been."""

    def __init__(self, link: Link, members: Members, suspects: Suspects, settings: SettingsStore) -> None:
        self._link = link
        self._members = members
        self._suspects = suspects
        self._settings = settings
        # Nodes where a model has been, so that its next replica is ready sooner there; by content id.
        self._homes: dict[str, set[str]] = {}

    def note_files(self, spec: ReplicaSpec, node: str) -> None:
        """The node has the model's files, or will have them in a moment."""
        self._homes.setdefault(spec.content_id, set()).add(node)

    async def rooms(self, spec: ReplicaSpec | None, reserve_bytes: int) -> list[Room]:
        """The rooms of all nodes that can run this service's replicas. Raises ClusterUnreachable."""
        return [
            self._room(node, spec, reserve_bytes)
            for node in await self._nodes()
            if node.is_alive and node.total_bytes > 0 and has_same_version(node)
        ]

    async def statuses(self, reserve_bytes: int) -> list[NodeStatus]:
        """All nodes, lost ones included, by name. Raises ClusterUnreachable."""
        # A node that was started again has the name of those that were lost before.
        shown = {node.name: node for node in sorted(await self._nodes(), key=lambda node: node.is_alive)}
        return [status_of(node, self._room(node, None, reserve_bytes)) for _, node in sorted(shown.items())]

    async def _nodes(self) -> list[ListedNode]:
        answer = await self._link.ask("nodes", NODES_TIMEOUT_S)
        return [ListedNode(**node) for node in answer["nodes"]]

    def _room(self, node: ListedNode, spec: ReplicaSpec | None, reserve_bytes: int) -> Room:
        held = self._members.held_bytes(node.name)
        free = min(node.free_bytes, node.total_bytes - held) - reserve_bytes
        budget_mb = self._settings.current.memory_budget_mb
        if budget_mb is not None:
            free = min(free, budget_mb * 1024 * 1024 - held)
        gpus = free_gpus(labeled_gpus(node.labels), self._members.held_gpu_bytes(node.name))
        return Room(node.name, free, self._has_files(node, spec), node.name in self._suspects, gpus)

    def _has_files(self, node: ListedNode, spec: ReplicaSpec | None) -> bool:
        mode = FilesMode(self._settings.current.cluster_files)
        if node.is_own or spec is None or mode is FilesMode.PATH:
            return True
        return node.name in self._homes.get(spec.content_id, ())
