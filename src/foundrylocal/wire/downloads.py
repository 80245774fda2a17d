"""Response shapes of downloads: progress, the list, the result, a cancellation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

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
    """A download that is running or queued."""

    model_name: str
    model_id: str
    state: Literal["queued", "downloading", "verifying"]
    requested_at: str
    progress: ProgressMeasure | None


class DownloadList(BaseModel):
    downloads: list[DownloadEntry]
    total_count: int


class DownloadAnswer(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [_DONE]})

    success: bool
    message: str
    model_name: str
    actual_model_id: str
    file_size_bytes: int
    download_time_seconds: int


class CancelAnswer(BaseModel):
    success: bool
    message: str
    model_name: str
