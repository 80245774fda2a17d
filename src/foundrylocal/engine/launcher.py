"""The launcher Protocol: a worker on this machine and a replica elsewhere are the same thing to the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from foundrylocal.engine.replica import Address, ReplicaEvent, ReplicaSpec, ReplicaStatus
from foundrylocal.kit.broadcast import Subscription


class Launcher(Protocol):
    """Runs replicas of models; the same id is the same replica."""

    async def capacity(self, reserve_bytes: int = 0) -> int:
        """Bytes of memory that a further replica could use now and leave `reserve_bytes` free."""

    async def launch(self, spec: ReplicaSpec) -> str:
        """Begin to run `spec` and return its id. Raises InsufficientMemory, ServerStartFailed."""

    async def wait_ready(
        self, replica: str, timeout_s: float, on_progress: Callable[[float], None] | None = None
    ) -> Address:
        """Wait until it answers; `on_progress` gets 0.0 to 1.0. Raises ServerStartTimeout, ServerStartFailed."""

    async def probe(self, replica: str, timeout_s: float) -> float:
        """One real health check: seconds it took. Raises WorkerCrashed when it does not answer in time."""

    async def inspect(self, replica: str) -> ReplicaStatus | None:
        """What is known of it; None when there is no such replica."""

    async def list(self) -> list[ReplicaStatus]:
        """All replicas that are not stopped."""

    async def stop(self, replica: str) -> None:
        """End it and wait until it is gone; nothing happens when it is not there."""

    async def kill(self, replica: str) -> None:
        """End it without a wait for its own clean-up, as one that no longer answers; it counts as failed."""

    def events(self) -> Subscription[ReplicaEvent]:
        """What happens to replicas from now on."""

    async def close(self) -> None:
        """Stop all of them."""
