"""Shapes of the server's calls: start, switch, stop, status, health, info."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

StatusName = Literal["stopped", "starting", "running", "switching", "stopping", "error"]


class StartOptions(BaseModel):
    """Options of a start or a switch; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    auto_download: bool = Field(True, description="Fetch the model when it is not on disk.")
    timeout_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(
        180, description="Bounds loading, not downloading."
    )
    health_check_interval_seconds: Annotated[float, Field(ge=0.1, le=3600, strict=False)] = Field(
        2, description="Period of the health monitor."
    )
    context_size: int | None = Field(None, ge=256, le=4_194_304, description="Tokens of context.")
    parallel: int | None = Field(None, ge=1, le=64, description="Requests answered at the same time.")
    threads: int | None = Field(None, ge=1, le=512, description="Threads of the engine.")
    gpu_layers: int | None = Field(None, ge=0, le=10_000, description="Layers on the GPU.")


class StartBody(BaseModel):
    """Body of /start, /start-stream and /switch-model."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"model_name": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"}]},
    )

    model_name: str = Field(min_length=1, max_length=512, description="simple_name or model_id, any case.")
    port: int | None = Field(None, ge=0, le=65535, description="Port of the server; 0 is any free one.")
    options: StartOptions = StartOptions.model_validate({})


class StartAnswer(BaseModel):
    success: bool
    message: str
    port: int
    model: str
    loaded_model_id: str
    endpoint: str
    api_key: str


class DoneAnswer(BaseModel):
    success: bool
    message: str


class ErrorObject(BaseModel):
    message: str
    type: str
    code: str
    details: str | None = None


class ErrorAnswer(BaseModel):
    """The one shape of every error on both ports."""

    error: ErrorObject


class StatusHealth(BaseModel):
    is_healthy: bool
    response_time_ms: int
    endpoint: str | None
    last_check: str
    api_key: str | None = Field(None, description="Only while the server runs.")


class StatusAnswer(BaseModel):
    is_running: bool
    status: StatusName
    current_model: str | None
    loaded_model_id: str | None
    port: int | None
    health: StatusHealth
    last_updated: str
    last_error: ErrorObject | None
    uptime_seconds: int


class HealthServer(BaseModel):
    is_running: bool
    is_healthy: bool
    status: StatusName
    port: int | None
    model: str | None


class HealthAnswer(BaseModel):
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
    service: str
    version: str
    foundry_local_version: str
    capabilities: list[str]
    configuration: InfoConfiguration
    model_registry: InfoRegistry


class LogLine(BaseModel):
    timestamp: str
    level: str
    message: str
    source: str


class ConfigAnswer(BaseModel):
    """Every setting, and the cache folder under both of its names."""

    model_config = ConfigDict(extra="allow")

    success: bool
    message: str
    port: int
    cachedir: str
    cache_dir: str
    default_log_level: str


Example = dict[str, Any]
