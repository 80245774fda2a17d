"""Routes: /health and /metrics."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Response

from foundrylocal import API_VERSION
from foundrylocal.api.describe import refusals
from foundrylocal.api.machine import describe_machine
from foundrylocal.api.services import ServicesDep
from foundrylocal.kit.clock import format_time, now_s
from foundrylocal.wire.machine import Machine
from foundrylocal.wire.server import HealthAnswer

router = APIRouter(tags=["Health and Monitoring"])


METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/health", response_model=HealthAnswer, responses=refusals())
async def health(services: ServicesDep) -> Any:
    """Always 200 while the API runs; `degraded` if the server should answer and does not."""
    now = services.server.snapshot()
    return {
        "status": "degraded" if now.is_degraded else "healthy",
        "service": "foundry-local-api",
        "version": API_VERSION,
        "timestamp": format_time(now_s()),
        "foundry_local": {
            "is_running": now.is_running,
            "is_healthy": now.is_running and now.health.is_healthy,
            "status": now.status.value,
            "port": now.port,
            "model": now.current.simple_name if now.current else None,
        },
    }


@router.get("/machine", response_model=Machine, responses=refusals())
async def machine(services: ServicesDep) -> Any:
    """Memory and disk of the machine, and how much each loaded model uses."""
    stored = await anyio.to_thread.run_sync(services.library.all)
    return await describe_machine(services, stored, await services.planner.devices())


class MetricsAnswer(Response):
    """The media type of the metrics; used in the description only."""

    media_type = "text/plain"


@router.get("/metrics", response_class=MetricsAnswer, responses=refusals())
async def metrics(services: ServicesDep) -> Response:
    """Request metrics in the Prometheus text format."""
    return Response(services.gateway.render_metrics(), headers={"content-type": METRICS_TYPE})
