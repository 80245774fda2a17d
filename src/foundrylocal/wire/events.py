"""Shapes of the JSON after `data: ` in event streams."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from foundrylocal.wire.downloads import DownloadEntry, EndedDownloadEntry, ProgressMeasure
from foundrylocal.wire.machine import Machine
from foundrylocal.wire.requests import RequestsSummary
from foundrylocal.wire.server import ErrorObject, QueueEntry, StatusName, TotalsEntry


class ProgressEvent(BaseModel):
    type: Literal["progress"]
    message: str
    progress: ProgressMeasure | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"type": "progress", "message": "Checking if model is downloaded..."}]
        }
    )


class SuccessEvent(BaseModel):
    type: Literal["success"]
    message: str
    data: dict[str, Any] = Field(description="The body that the plain call would return.")


class ErrorEvent(BaseModel):
    type: Literal["error"]
    message: str
    error: ErrorObject


class OperationEvent(RootModel[ProgressEvent | SuccessEvent | ErrorEvent]):
    """Exactly one success or error ends the stream."""

    model_config = ConfigDict(json_schema_extra={"discriminator": {"propertyName": "type"}})


class ServerState(BaseModel):
    status: StatusName
    current_model: str | None
    loaded_model_id: str | None
    is_healthy: bool
    port: int | None
    last_error: ErrorObject | None = None
    last_error_at: str | None = Field(None, description="When it happened; null without an error.")


class StateEvent(BaseModel):
    type: Literal["state"]
    data: ServerState


class DownloadsEvent(BaseModel):
    type: Literal["downloads"]
    data: list[DownloadEntry]


class EndedDownloadsEvent(BaseModel):
    type: Literal["ended_downloads"]
    data: list[EndedDownloadEntry]


class MachineEvent(BaseModel):
    type: Literal["machine"]
    data: Machine


class Activity(BaseModel):
    queues: list[QueueEntry]
    totals: TotalsEntry


class ActivityEvent(BaseModel):
    type: Literal["activity"]
    data: Activity


class LoadedEvent(BaseModel):
    type: Literal["loaded"]
    data: list[str] = Field(description="Ids of the models in memory.")


class ModelsEvent(BaseModel):
    type: Literal["downloaded"]
    data: list[str] = Field(description="Ids of the models on disk.")


class RequestsEvent(BaseModel):
    type: Literal["requests"]
    data: RequestsSummary


Change = (
    StateEvent
    | DownloadsEvent
    | EndedDownloadsEvent
    | LoadedEvent
    | ModelsEvent
    | ActivityEvent
    | MachineEvent
    | RequestsEvent
)


class ChangeEvent(RootModel[Change]):
    """One event of each kind at the start, then one per change; each carries the complete state of its kind."""

    model_config = ConfigDict(json_schema_extra={"discriminator": {"propertyName": "type"}})
