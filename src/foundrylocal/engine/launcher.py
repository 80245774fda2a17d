"""The launcher Protocol: to the rest of the program a replica here and one on a node are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from foundrylocal.engine.replica import Address, ReplicaEvent, ReplicaSpec, ReplicaStatus
from foundrylocal.kit.broadcast import Subscription


class Launcher(Protocol):
    """Runs replicas of models; the same id is the same replica."""

    async def capacity(self, reserve_bytes: int = 0) -> int:
        """Bytes of memory that a further replica could use now while `reserve_bytes` stay free."""

    async def launch(self, spec: ReplicaSpec) -> str:
        """Begin to run `spec` and return its id.

        Raises UnknownEngine, EngineUnavailable, ServerStartFailed, SystemExhausted.
        """

    async def wait_ready(
        self,
        replica: str,
        timeout_s: float | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> Address:
        """Wait until it passes its first health check; `on_progress` gets 0.0 to 1.0.

        Without `timeout_s` the load may take as long as it makes progress.

        Raises ServerStartTimeout, ServerStartFailed, SystemExhausted.
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
        """End it at once, without time to clean up; it counts as failed."""

    def events(self) -> Subscription[ReplicaEvent]:
        """What happens to replicas from now on."""

    async def close(self) -> None:
        """Stop all of them."""
