"""Downloads: start, watch, list, cancel."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from foundrylocal.api.describe import OF_A_DOWNLOAD, StreamAnswer, describe_stream, refusals
from foundrylocal.api.paths import model_at_path
from foundrylocal.api.services import ServicesDep
from foundrylocal.api.streams import EventStream, measured, stream_operation
from foundrylocal.downloads.manager import Downloaded, DownloadStatus, EndedDownload
from foundrylocal.errors import ModelNotFound, ServerShuttingDown
from foundrylocal.kit.clock import format_time
from foundrylocal.web.errors import error_object
from foundrylocal.wire.downloads import CancelAnswer, DownloadAnswer, DownloadList, PauseAnswer
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


def ended_entry(ended: EndedDownload) -> dict[str, Any]:
    """One ended download, likewise."""
    return {
        "model_name": ended.model.simple_name,
        "model_id": ended.model.model_id,
        "state": ended.state,
        "ended_at": format_time(ended.ended_at),
        "file_size_bytes": ended.file_size_bytes,
        "kept_bytes": ended.kept_bytes,
        "error": error_object(ended.error) if ended.error else None,
    }


@router.get(
    "/downloads",
    response_model=DownloadList,
    response_model_exclude_unset=True,
    responses=refusals(),
    tags=["Downloads"],
)
async def list_downloads(services: ServicesDep) -> Any:
    """Running, queued and paused downloads in the order they were requested, and those that ended lately."""
    entries = [entry(status) for status in services.downloads.jobs()]
    ended = [ended_entry(one) for one in services.downloads.ended()]
    return {"downloads": entries, "total_count": len(entries), "ended": ended}


@router.post(
    "/downloads/{model_name:model}/pause",
    response_model=PauseAnswer,
    responses=refusals(ModelNotFound),
    tags=["Downloads"],
)
async def pause_download(model_name: str, services: ServicesDep) -> Any:
    """Pause a download. Received bytes are kept, and it stays paused when the service is restarted."""
    model = services.server.resolve(model_name)
    is_paused = await services.downloads.pause(model.model_id)
    message = "Download paused successfully" if is_paused else "Download is not running"
    return {"success": True, "message": message, "model_name": model.simple_name}


@router.post(
    "/downloads/{model_name:model}/resume",
    response_model=PauseAnswer,
    responses=refusals(ModelNotFound, ServerShuttingDown),
    tags=["Downloads"],
)
async def resume_download(model_name: str, services: ServicesDep) -> Any:
    """Continue a paused download where it stopped."""
    model = services.server.resolve(model_name)
    was_paused = services.downloads.resume(model)
    message = "Download resumed successfully" if was_paused else "Download is not paused"
    return {"success": True, "message": message, "model_name": model.simple_name}


@router.delete(
    "/downloads/{model_name:path}",
    response_model=CancelAnswer,
    responses=refusals(ModelNotFound),
    tags=["Downloads"],
)
async def cancel_download(model_name: str, request: Request, services: ServicesDep) -> Any:
    """Cancel a running or paused download. Received bytes are kept; it is no error if there is none."""
    model = model_at_path(request, model_name, services.server.resolve)
    was_running = await services.downloads.cancel(model.model_id)
    message = "Download cancelled successfully" if was_running else "Download is not running"
    return {"success": True, "message": message, "model_name": model.simple_name}
