"""Shapes of start, switch, stop, status, health, info, and errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from foundrylocal.wire.load_options import LoadOptions
from foundrylocal.wire.models import OptionsAnswer

_MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
_ID = f"Qwen/{_MODEL}"
_AT = "2025-01-20T10:30:00Z"
_ENDPOINT = "http://127.0.0.1:1234/v1"


def _examples(*bodies: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(bodies)})


StatusName = Literal["stopped", "starting", "running", "switching", "stopping", "error"]


class StartOptions(LoadOptions):
    """Options of a start or a switch; unknown options are rejected."""

    model_config = ConfigDict(extra="forbid", strict=True)

    auto_download: bool = Field(True, description="Download the model if it is not on disk.")
    timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(
        180,
        description=(
            "Time limit for loading; it does not include downloading. Without it a load may take as long as it makes "
            "progress, and fails after 180 seconds without any."
        ),
    )
    health_check_interval_seconds: Annotated[float, Field(ge=0.1, le=3600, strict=False)] = Field(
        2, description="Period of the health monitor."
    )
    strict: bool = Field(
        False, description="Refuse the load when an option or the preset cannot be honored exactly as asked."
    )


class StartBody(BaseModel):
    """Body of /start, /start-stream and /switch-model."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"model_name": _MODEL},
                {"model_name": _MODEL, "port": 1235},
                {
                    "model_name": "Qwen2.5-3B-Instruct-Q4_K_M-GGUF",
                    "options": {
                        "auto_download": True,
                        "timeout_seconds": 300,
                        "health_check_interval_seconds": 2,
                    },
                },
            ]
        },
    )

    model_name: str = Field(min_length=1, max_length=512, description="simple_name or model_id, any case.")
    port: int | None = Field(None, ge=0, le=65535, description="Port of the server; 0 picks any free port.")
    options: StartOptions = StartOptions.model_validate({})


class StartAnswer(BaseModel):
    model_config = _examples(
        {
            "success": True,
            "message": "Server started successfully",
            "port": 1234,
            "model": _MODEL,
            "loaded_model_id": _ID,
            "endpoint": _ENDPOINT,
            "api_key": "fl-YourApiKey123",
        }
    )

    success: bool
    message: str
    port: int
    model: str
    loaded_model_id: str
    endpoint: str
    api_key: str


class DoneAnswer(BaseModel):
    model_config = _examples({"success": True, "message": "Server stopped successfully"})

    success: bool
    message: str


class UnloadAllAnswer(DoneAnswer):
    model_config = _examples({"success": True, "message": "All models unloaded successfully"})


class ErrorObject(BaseModel):
    message: str
    type: str
    code: str
    details: str | None = Field(None, description="What to do next, or which field is invalid.")
    reason: str | None = Field(None, description="The specific cause, if `details` is a fixed text.")
    param: str | None = Field(None, description="The field that caused the error.")


class ErrorAnswer(BaseModel):
    """The shape of every error on both ports."""

    model_config = _examples(
        {
            "error": {
                "message": "Model name is required",
                "type": "invalid_request_error",
                "code": "missing_model_name",
            }
        }
    )

    error: ErrorObject


class StatusHealth(BaseModel):
    is_healthy: bool
    response_time_ms: int
    endpoint: str | None
    last_check: str
    api_key: str | None = Field(
        None, description="Only while the server runs, for callers that may manage it."
    )


_TOTALS = {
    "requests": 0,
    "failed": 0,
    "cancelled": 0,
    "tokens_in": 0,
    "tokens_out": 0,
    "tokens_drafted": 0,
    "tokens_accepted": 0,
    "draft_acceptance": None,
}


class QueueEntry(BaseModel):
    model_id: str
    slots: int
    running: int
    waiting: int
    longest_wait_ms: int


class TotalsEntry(BaseModel):
    requests: int
    failed: int
    cancelled: int
    tokens_in: int
    tokens_out: int
    tokens_drafted: int = Field(description="Tokens that speculative decoding proposed.")
    tokens_accepted: int = Field(description="Proposed tokens that became part of an answer.")
    draft_acceptance: float | None = Field(
        description="Accepted of proposed tokens, 0 to 1; null without any."
    )


class StatusAnswer(BaseModel):
    model_config = _examples(
        {
            "is_running": True,
            "status": "running",
            "current_model": _MODEL,
            "loaded_model_id": _ID,
            "port": 1234,
            "health": {
                "is_healthy": True,
                "response_time_ms": 45,
                "endpoint": _ENDPOINT,
                "last_check": _AT,
                "api_key": "fl-YourApiKey123",
            },
            "last_updated": _AT,
            "last_error": None,
            "uptime_seconds": 60,
            "replicas": 1,
            "options": {
                "asked": {"context_size": 65536, "parallel": 4},
                "effective": {"context_size": 32768, "parallel": 4},
                "sources": {"context_size": "model", "parallel": "setting"},
                "reasons": {"context_size": "context_size is 32768 instead of 65536: the model has no more."},
            },
            "queues": [],
            "totals": _TOTALS,
        },
        {
            "is_running": False,
            "status": "stopped",
            "current_model": None,
            "loaded_model_id": None,
            "port": None,
            "health": {"is_healthy": False, "response_time_ms": 0, "endpoint": None, "last_check": _AT},
            "last_updated": _AT,
            "last_error": None,
            "uptime_seconds": 0,
            "replicas": 0,
            "options": None,
            "queues": [],
            "totals": _TOTALS,
        },
    )

    is_running: bool
    status: StatusName
    current_model: str | None
    loaded_model_id: str | None
    port: int | None
    health: StatusHealth
    last_updated: str
    last_error: ErrorObject | None
    uptime_seconds: int
    replicas: int = Field(0, description="Replicas of the current model that take requests.")
    queues: list[QueueEntry] = Field(description="Running and waiting requests of each model.")
    options: OptionsAnswer | None = Field(
        description="Load options of the current model as asked and as it runs with them; null unless it is loaded."
    )
    totals: TotalsEntry = Field(description="Gateway totals since the service started.")


class HealthServer(BaseModel):
    is_running: bool
    is_healthy: bool
    status: StatusName
    port: int | None
    model: str | None


class HealthAnswer(BaseModel):
    model_config = _examples(
        {
            "status": "healthy",
            "service": "foundry-local-api",
            "version": "2.0.0",
            "timestamp": _AT,
            "foundry_local": {
                "is_running": True,
                "is_healthy": True,
                "status": "running",
                "port": 1234,
                "model": _MODEL,
            },
        },
        {
            "status": "healthy",
            "service": "foundry-local-api",
            "version": "2.0.0",
            "timestamp": _AT,
            "foundry_local": {
                "is_running": False,
                "is_healthy": False,
                "status": "stopped",
                "port": None,
                "model": None,
            },
        },
    )

    status: Literal["healthy", "degraded"]
    service: str
    version: str
    timestamp: str
    foundry_local: HealthServer


class InfoConfiguration(BaseModel):
    default_port: int
    cache_dir: str
    default_log_level: str


class InfoRegistry(BaseModel):
    total_models: int
    downloaded_models: int
    loaded_models: int


class InfoAnswer(BaseModel):
    model_config = _examples(
        {
            "service": "FoundryLocal API",
            "version": "2.0.0",
            "foundry_local_version": "0.5.0",
            "capabilities": [
                "model_management",
                "server_control",
                "streaming_download",
                "health_monitoring",
                "log_streaming",
            ],
            "configuration": {
                "default_port": 1234,
                "cache_dir": "C:\\Users\\user\\.cache\\foundrylocal",
                "default_log_level": "INFO",
            },
            "model_registry": {"total_models": 45, "downloaded_models": 3, "loaded_models": 1},
        }
    )

    service: str
    version: str
    foundry_local_version: str
    capabilities: list[str]
    configuration: InfoConfiguration
    model_registry: InfoRegistry


class LogLine(BaseModel):
    model_config = _examples(
        {
            "timestamp": _AT,
            "level": "INFO",
            "message": "Server started successfully",
            "source": "FoundryLocalApiService",
        }
    )

    timestamp: str
    level: str
    message: str
    source: str
