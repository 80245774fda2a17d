"""Routes: the engines of this machine and their devices."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from foundrylocal.api.describe import refusals
from foundrylocal.api.services import Services, ServicesDep
from foundrylocal.engine.engine import BUILT_IN, Engine, EngineReport
from foundrylocal.errors import SystemExhausted
from foundrylocal.wire.engines import EnginesAnswer

router = APIRouter(tags=["Engines"])


@router.get("/engines", response_model=EnginesAnswer, responses=refusals(SystemExhausted))
async def list_engines(services: ServicesDep) -> Any:
    """The built-in engine and the llama-server binaries of the setting `engines`, each with its devices and state."""
    reports = await services.engines.reports()
    return {
        "engines": [_entry(engine, report) for engine, report in reports],
        "total_count": len(reports),
        "current": _current(services),
    }


def _entry(engine: Engine, report: EngineReport) -> dict[str, Any]:
    return {
        "name": engine.name,
        "kind": engine.kind.value,
        "version": report.version,
        "devices": [
            {
                "name": device.name,
                "kind": device.kind.value,
                "memory_bytes": device.memory_bytes,
                "free_bytes": device.free_bytes,
            }
            for device in report.devices
        ],
        "state": report.state.value,
        "message": report.message,
        "action": report.action,
    }


def _current(services: Services) -> str:
    """The engine of the server's own model, or the one that the settings choose."""
    model = services.server.snapshot().current
    replica = services.server.pool.get(model) if model else None
    name = replica.spec.options.engine if replica else services.settings.current.engine
    return name or BUILT_IN
