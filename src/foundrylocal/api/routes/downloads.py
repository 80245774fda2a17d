"""Downloads: start, watch, list, cancel."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from foundrylocal.api.describe import OF_A_DOWNLOAD, StreamAnswer, describe_stream, refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.api.streams import EventStream, measured, stream_operation
from foundrylocal.downloads.manager import Downloaded, DownloadStatus
from foundrylocal.errors import ModelNotFound
from foundrylocal.kit.clock import format_time
from foundrylocal.wire.downloads import CancelAnswer, DownloadAnswer, DownloadList
from foundrylocal.wire.events import OperationEvent

router = APIRouter()
_TAG: list[Any] = ["Model Management"]
_STREAM = """data: {"type":"progress","message":"Starting download: Qwen2.5-3B-Instruct-Q4_K_M-GGUF"}

data: {"type":"progress","message":"Downloaded: 5.2% (105 MB / 2048 MB) - 12.5 MB/s"}

data: {"type":"progress","message":"Downloaded: 100.0% (2048 MB / 2048 MB) - 13.9 MB/s"}

data: {"type":"success","message":"Download completed successfully","data":{"success":true,\
"model_name":"Qwen2.5-3B-Instruct-Q4_K_M-GGUF"}}

"""


def _downloaded(done: Downloaded) -> dict[str, Any]:
    return {
        "success": True,
        "message": "Model downloaded successfully",
        "model_name": done.model.simple_name,
        "actual_model_id": done.model.model_id,
        "file_size_bytes": done.file_size_bytes,
        "download_time_seconds": done.seconds,
    }


@router.post(
    "/models/{model_name:model}/download",
    response_model=DownloadAnswer,
    responses=refusals(*OF_A_DOWNLOAD, ModelNotFound),
    tags=_TAG,
)
async def download(model_name: str, services: ServicesDep) -> Any:
    """Download a model and wait until it is complete; callers of the same model share one download."""
    operation = services.downloads.fetch(services.server.resolve(model_name))
    return _downloaded(await operation.result())


@router.post(
    "/models/{model_name:model}/download-stream",
    response_class=StreamAnswer,
    responses=describe_stream(OperationEvent, _STREAM) | refusals(*OF_A_DOWNLOAD, ModelNotFound),
    tags=_TAG,
)
async def download_stream(model_name: str, services: ServicesDep) -> EventStream:
    """Download a model and report progress as server-sent events; a second caller joins the first."""
    operation = services.downloads.fetch(services.server.resolve(model_name))
    await operation.begun()
    return stream_operation(operation, _downloaded)


def entry(status: DownloadStatus) -> dict[str, Any]:
    """One download, as the list and the event stream render it."""
    return {
        "model_name": status.simple_name,
        "model_id": status.model_id,
        "state": status.state,
        "requested_at": format_time(status.requested_at),
        "progress": measured(status.measure) if status.measure else None,
    }


@router.get(
    "/downloads",
    response_model=DownloadList,
    response_model_exclude_unset=True,
    responses=refusals(),
    tags=["Downloads"],
)
async def list_downloads(services: ServicesDep) -> Any:
    """Running and queued downloads, in the order they were requested."""
    entries = [entry(status) for status in services.downloads.jobs()]
    return {"downloads": entries, "total_count": len(entries)}


@router.delete(
    "/downloads/{model_name:path}",
    response_model=CancelAnswer,
    responses=refusals(ModelNotFound),
    tags=["Downloads"],
)
async def cancel_download(model_name: str, services: ServicesDep) -> Any:
    """Cancel a download. Received bytes are kept for the next attempt; it is no error if none is running."""
    model = services.server.resolve(model_name)
    was_running = await services.downloads.cancel(model.model_id)
    message = "Download cancelled successfully" if was_running else "Download is not running"
    return {"success": True, "message": message, "model_name": model.simple_name}
