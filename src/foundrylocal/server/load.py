"""Loading for a start or a switch: the published progress lines around the pool's load."""

from __future__ import annotations

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.events import Progress
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica
from foundrylocal.server.load_progress import LoadProgress
from foundrylocal.server.requests import ServerInfo, StartRequest

WAITING = "Waiting for server to be ready..."
HEALTHY = "Server health check passed"


async def load_and_report(
    pool: Pool, operation: Operation[ServerInfo], model: Model, spec: ReplicaSpec, request: StartRequest
) -> Replica:
    """Load the model; its first health check is part of that. Raises what `Pool.load` raises."""
    replica = await pool.load(
        model,
        spec,
        request.timeout_s,
        on_spawned=lambda: operation.report(Progress(WAITING)),
        on_progress=LoadProgress(operation, WAITING),
    )
    operation.report(Progress(HEALTHY))
    return replica


def report_ready(operation: Operation[ServerInfo]) -> None:
    """The same lines for a replica that is ready already."""
    operation.report(Progress(WAITING))
    operation.report(Progress(HEALTHY))
