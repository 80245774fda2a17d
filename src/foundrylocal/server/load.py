"""Loading for a start or a switch: planned before anything is done, then the published progress lines around it."""

from __future__ import annotations

from dataclasses import replace

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import ModelCorrupted, ModelNotDownloaded
from foundrylocal.events import Progress
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.plan import Plan
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica
from foundrylocal.pool.supply import Supply
from foundrylocal.server.load_progress import LoadProgress
from foundrylocal.server.requests import ServerInfo, StartRequest

WAITING = "Waiting for server to be ready..."
HEALTHY = "Server health check passed"


async def plan_or_refuse(pool: Pool, model: Model, request: StartRequest, *, is_switch: bool = False) -> Plan:
    """The plan, made before a port is bound, a byte is downloaded or a model leaves: a refusal loses nothing.

    Raises ModelCorrupted, ModelNotDownloaded when it may not be downloaded, InsufficientMemory,
    InsufficientDiskSpace, OptionNotHonored.
    """
    plan = await make_plan(pool, model, request, is_switch=is_switch)
    plan.raise_if_refused()
    return plan


async def make_plan(pool: Pool, model: Model, request: StartRequest, *, is_switch: bool) -> Plan:
    """What a start or a switch with this request would take and do. Raises ModelCorrupted."""
    plan = await pool.plan(model, request.options, may_replace_current=is_switch, is_strict=request.is_strict)
    if plan.files is None and not request.may_download:
        return replace(plan, refusal=ModelNotDownloaded())
    return plan


async def make_plan_or_explain(pool: Pool, model: Model, request: StartRequest, *, is_switch: bool) -> Plan:
    """The same for those who only want to know: of a damaged model too, which is refused."""
    try:
        return await make_plan(pool, model, request, is_switch=is_switch)
    except ModelCorrupted as error:
        return await pool.plan_damaged(model, request.options, error)


async def obtain(
    pool: Pool,
    supply: Supply,
    operation: Operation[ServerInfo],
    plan: Plan,
    request: StartRequest,
    *,
    is_switch: bool = False,
) -> ReplicaSpec:
    """See that the model is on disk; what is to run. A downloaded model is planned again, by its header.

    Raises the download's errors, ModelCorrupted, InsufficientMemory.
    """
    await supply.obtain(plan.model, report=operation.report)
    if plan.spec is None:
        plan = await plan_or_refuse(pool, plan.model, request, is_switch=is_switch)
    if plan.spec is None:
        raise ModelNotDownloaded  # it was deleted again at this moment
    operation.report(Progress("Starting FoundryLocal server..."))
    return plan.spec


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


def reuse_and_report(
    pool: Pool, operation: Operation[ServerInfo], model: Model, spec: ReplicaSpec
) -> Replica | None:
    """A replica of the model that was loaded exactly so, with the same lines; None: it has to be loaded."""
    there = pool.get(model)
    if there is None or not there.spec.is_like(spec):
        there = pool.recall(spec)
    if there is not None:
        operation.report(Progress(WAITING))
        operation.report(Progress(HEALTHY))
    return there
