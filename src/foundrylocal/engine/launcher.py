"""The launcher Protocol: to the rest of the program a replica here and one on a node are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from foundrylocal.engine.node import NodeStatus
from foundrylocal.engine.replica import Address, Adopted, ReplicaEvent, ReplicaSpec, ReplicaStatus, Room
from foundrylocal.kit.broadcast import Subscription

STOPPED_BEFORE_READY = "The worker was stopped before it was ready."
MAX_KILL_S = 3.0
"""How long `kill` takes at most, whatever the processes and the network do."""


class Launcher(Protocol):
    """Runs replicas of models; the same id is the same replica."""

    async def rooms(self, spec: ReplicaSpec | None = None, reserve_bytes: int = 0) -> list[Room]:
        """What each node could give a further replica now while `reserve_bytes` stay free on it.

        With `spec`, each room says whether its node has the model's files. Raises ClusterUnreachable.
        """

    async def node_statuses(self, reserve_bytes: int = 0) -> list[NodeStatus]:
        """Every node, lost ones for a while too, as GET /cluster shows them. `reserve_bytes` do not count as free.

        Raises ClusterUnreachable.
        """

    async def launch(self, spec: ReplicaSpec, node: str = "") -> str:
        """Begin to run `spec` on the node, and return its id; its memory counts as taken from then on.

        Raises UnknownEngine, EngineUnavailable, ServerStartFailed, SystemExhausted, ClusterUnreachable, and NodeLost:
        another node may be tried.
        """

    async def adopted(self) -> list[Adopted]:
        """The ready replicas of a service before this one that still run; none after the first call."""

    async def wait_ready(
        self,
        replica: str,
        timeout_s: float | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> Address:
        """Wait until it passes its first health check; `on_progress` gets 0.0 to 1.0.

        Without `timeout_s` the load may take as long as it makes progress.

        Raises ServerStartTimeout, ServerStartFailed, SystemExhausted, NodeLost. After a failure whose event has the
        cause NODE or FILES, another node may be tried; `rooms` calls this one suspect for a while.
        """

    async def probe(self, replica: str, timeout_s: float) -> float:
        """One health check; seconds it took.

        Raises WorkerCrashed when it does not answer in time, SystemExhausted when the service could not ask.
        """

    async def inspect(self, replica: str) -> ReplicaStatus | None:
        """Its status; None when there is no such replica."""

    async def list(self) -> list[ReplicaStatus]:
        """All replicas that are not stopped."""

    async def stop(self, replica: str) -> None:
        """End it and wait until it has ended; does nothing when there is no such replica."""

    async def kill(self, replica: str) -> None:
        """End it at once, without time to clean up; it counts as failed. Returns within MAX_KILL_S."""

    def events(self) -> Subscription[ReplicaEvent]:
        """What happens to replicas from now on."""

    async def close(self) -> None:
        """Stop all of them."""
