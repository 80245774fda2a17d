"""The plan of a load: what it would take and do, without doing it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import OF_A_BODY, describe_body, refusals
from foundrylocal.api.services import Services, ServicesDep
from foundrylocal.api.start_request import start_request
from foundrylocal.engine.replica import node_name
from foundrylocal.errors import MissingModelName, ModelNotFound
from foundrylocal.pool.measured_times import Duration
from foundrylocal.pool.plan import MemoryPlan, Plan, PlannedTimes
from foundrylocal.web.errors import error_object
from foundrylocal.wire.plan import PlanAnswer
from foundrylocal.wire.server import StartBody

router = APIRouter(tags=["Server Management"])


@router.post(
    "/plan",
    response_model=PlanAnswer,
    response_model_exclude_unset=True,
    openapi_extra=describe_body(StartBody),
    responses=refusals(*OF_A_BODY, MissingModelName, ModelNotFound),
)
async def plan(request: Request, services: ServicesDep) -> Any:
    """What a start with this body would take and do, or a switch while the server runs; nothing is changed."""
    return _render(await services.server.plan(start_request(await parse_body(request, StartBody))), services)


def _render(found: Plan, services: Services) -> dict[str, Any]:
    def names(model_ids: tuple[str, ...]) -> list[str]:
        return [services.registry.find(model_id).simple_name for model_id in model_ids]

    return {
        "model": found.model.simple_name,
        "model_id": found.model.model_id,
        "action": found.action,
        "fits": found.fits,
        "effective": found.options.model_dump(mode="json"),
        "sources": dict(found.report.sources),
        "memory": _memory(found.memory),
        "disk": {"needed_bytes": found.disk.needed_bytes, "free_bytes": found.disk.free_bytes}
        if found.disk
        else None,
        "unloads": names(found.unloads),
        "drains": names(found.drains),
        "seconds": _seconds(found.times),
        "node": node_name(found.node),
        "refusal": error_object(found.refusal) if found.refusal else None,
        "warnings": list(found.warnings),
    }


def _memory(memory: MemoryPlan) -> dict[str, Any]:
    gpu = {"needed_bytes": memory.gpu_bytes, "free_bytes": memory.gpu_free_bytes}
    return {
        "needed_bytes": memory.needed_bytes,
        "weights_bytes": memory.weights_bytes,
        "kv_cache_bytes": memory.kv_cache_bytes,
        "compute_bytes": memory.compute_bytes,
        "free_bytes": memory.free_bytes,
        "reserve_bytes": memory.reserve_bytes,
        "gpu": gpu if memory.gpu_bytes else None,
    }


def _seconds(times: PlannedTimes) -> dict[str, Any]:
    def value(time: Duration | None) -> float | None:
        return None if time is None else round(time.seconds, 1)

    return {
        "download": value(times.download),
        "load": value(times.load),
        "basis": {
            "download": times.download.basis if times.download else None,
            "load": times.load.basis if times.load else None,
        },
    }
