"""Response shapes of downloads: progress, the list, the result, a cancellation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from foundrylocal.wire.server import ErrorObject

_NAME = "Qwen2.5-3B-Instruct-Q4_K_M-GGUF"
_DONE: JsonDict = {
    "success": True,
    "message": "Model downloaded successfully",
    "model_name": _NAME,
    "actual_model_id": f"Qwen/{_NAME}",
    "file_size_bytes": 2147483648,
    "download_time_seconds": 125,
}


class ProgressMeasure(BaseModel):
    """How far the operation has come; unknown fields are left out."""

    stage: str
    percent: float | None = None
    downloaded_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    eta_seconds: int | None = None


class DownloadEntry(BaseModel):
    """A download that is running, queued or paused."""

    model_name: str
    model_id: str
    state: Literal["queued", "downloading", "verifying", "paused"]
    requested_at: str
    progress: ProgressMeasure | None


class EndedDownloadEntry(BaseModel):
    """A download that ended; `error` says why it failed."""

    model_name: str
    model_id: str
    state: Literal["done", "failed", "cancelled"]
    ended_at: str
    file_size_bytes: int = Field(description="Size on disk; 0 unless it is done.")
    kept_bytes: int = Field(description="Received bytes that wait on disk for the next attempt.")
    error: ErrorObject | None


class DownloadList(BaseModel):
    downloads: list[DownloadEntry]
    total_count: int
    ended: list[EndedDownloadEntry] = Field(
        description="The last 50 downloads that ended since the service started, newest last."
    )


class DownloadAnswer(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [_DONE]})

    success: bool
    message: str
    model_name: str
    actual_model_id: str
    file_size_bytes: int
    download_time_seconds: int


class PauseAnswer(BaseModel):
    success: bool
    message: str
    model_name: str


class CancelAnswer(BaseModel):
    success: bool
    message: str
    model_name: str
