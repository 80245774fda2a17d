"""Routes: start, stop, switch and status of the server. Each parses, asks the owner, and renders."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from foundrylocal.api.access import may_manage
from foundrylocal.api.activity import describe_activity
from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import (
    OF_A_BODY,
    OF_A_DOWNLOAD,
    StreamAnswer,
    describe_body,
    describe_stream,
    refusals,
)
from foundrylocal.api.services import ServicesDep
from foundrylocal.api.start_request import start_request
from foundrylocal.api.streams import EventStream, stream_operation
from foundrylocal.errors import (
    ClusterUnreachable,
    EngineUnavailable,
    InsufficientMemory,
    MissingModelName,
    ModelCorrupted,
    ModelInUse,
    ModelLoading,
    ModelNotDownloaded,
    ModelNotFound,
    NodeLost,
    OperationCancelled,
    OperationInProgress,
    PortInUse,
    ServerAlreadyRunning,
    ServerStartFailed,
    ServerStartTimeout,
    SystemExhausted,
)
from foundrylocal.kit.clock import format_time
from foundrylocal.server.requests import ServerInfo
from foundrylocal.web.errors import error_object
from foundrylocal.wire.events import OperationEvent
from foundrylocal.wire.server import DoneAnswer, StartAnswer, StartBody, StatusAnswer

router = APIRouter(tags=["Server Management"])


# Errors before anything is done, and errors of the operation itself.
_AT_ONCE = (
    *OF_A_BODY,
    MissingModelName,
    ModelNotFound,
    OperationInProgress,
    PortInUse,
    ModelInUse,
    ModelNotDownloaded,
    ModelCorrupted,
    EngineUnavailable,
)
_LATER = (
    *OF_A_DOWNLOAD,
    ServerStartTimeout,
    ServerStartFailed,
    InsufficientMemory,
    ModelLoading,
    SystemExhausted,
    ClusterUnreachable,
    NodeLost,
)
_STREAM = """data: {"type":"progress","message":"Checking if model is downloaded..."}

data: {"type":"progress","message":"Model found locally"}

data: {"type":"progress","message":"Starting FoundryLocal server..."}

data: {"type":"progress","message":"Waiting for server to be ready..."}

data: {"type":"progress","message":"Server health check passed"}

data: {"type":"success","message":"Server started successfully","data":{"success":true,"port":1234,\
"model":"Qwen2.5-0.5B-Instruct-Q8_0-GGUF","endpoint":"http://127.0.0.1:1234/v1"}}

"""


def _started(info: ServerInfo) -> dict[str, Any]:
    return {
        "success": True,
        "message": "Server started successfully",
        "port": info.port,
        "model": info.model.simple_name,
        "loaded_model_id": info.model.model_id,
        "endpoint": info.endpoint,
        "api_key": info.api_key,
    }


@router.post(
    "/start",
    response_model=StartAnswer,
    openapi_extra=describe_body(StartBody),
    responses=refusals(*_AT_ONCE, *_LATER, ServerAlreadyRunning),
)
async def start(request: Request, services: ServicesDep) -> Any:
    """Start the FoundryLocal server with a model; download it first if necessary."""
    operation = await services.server.start(start_request(await parse_body(request, StartBody)))
    return _started(await operation.result())


@router.post(
    "/start-stream",
    response_class=StreamAnswer,
    openapi_extra=describe_body(StartBody),
    responses=describe_stream(OperationEvent, _STREAM)
    | refusals(*_AT_ONCE, OperationCancelled, ServerAlreadyRunning),
)
async def start_stream(request: Request, services: ServicesDep) -> EventStream:
    """Start the FoundryLocal server and report progress as server-sent events."""
    operation = await services.server.start(start_request(await parse_body(request, StartBody)))
    return stream_operation(operation, _started)


@router.post(
    "/switch-model",
    response_model=StartAnswer,
    openapi_extra=describe_body(StartBody),
    responses=refusals(*_AT_ONCE, *_LATER),
)
async def switch_model(request: Request, services: ServicesDep) -> Any:
    """Switch to another model; the previous model keeps serving if the new one cannot be loaded."""
    operation = await services.server.switch(start_request(await parse_body(request, StartBody)))
    return _started(await operation.result())


@router.post("/stop", response_model=DoneAnswer, responses=refusals())
async def stop(services: ServicesDep) -> Any:
    """Stop the FoundryLocal server; cancel a start or switch in progress."""
    return {"success": True, "message": await services.server.stop()}


@router.get("/status", response_model=StatusAnswer, response_model_exclude_unset=True, responses=refusals())
async def status(request: Request, services: ServicesDep) -> Any:
    """The current status of the FoundryLocal server, with its key for callers that may manage it."""
    now = services.server.snapshot()
    health: dict[str, Any] = {
        "is_healthy": now.is_running and now.health.is_healthy,
        "response_time_ms": now.health.response_ms if now.is_running else 0,
        "endpoint": now.endpoint,
        "last_check": format_time(now.health.checked_at_s),
    }
    if now.is_running and may_manage(request):
        health["api_key"] = services.server.api_key
    return {
        "is_running": now.is_running,
        "status": now.status.value,
        "current_model": now.current.simple_name if now.current else None,
        "loaded_model_id": now.loaded.model_id if now.loaded else None,
        "port": now.port,
        "options": now.options.shown() if now.options else None,
        "health": health,
        "last_updated": format_time(now.changed_at_s),
        "last_error": error_object(now.last_error) if now.last_error else None,
        "uptime_seconds": now.uptime_s,
        "replicas": now.replicas,
        **describe_activity(services),
    }
