"""What models there are: lists, downloads, deletion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends

from foundrylocal.api.services import Services, services
from foundrylocal.api.streams import EventStream, stream_operation
from foundrylocal.catalog.library import Stored
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.manager import Downloaded
from foundrylocal.kit.clock import format_time
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.wire.catalogue import DeleteAnswer, DownloadAnswer, DownloadedList, LoadedList, ModelList
from foundrylocal.wire.server import DoneAnswer

router = APIRouter(prefix="/models", tags=["Model Management"])
Ask = Annotated[Services, Depends(services)]


def _entry(model: Model, stored: Stored | None, loaded: set[str]) -> dict[str, Any]:
    size = stored.size_bytes if stored else model.file_size_bytes
    return {
        "model_id": model.model_id,
        "simple_name": model.simple_name,
        "size": model.size or "unknown",
        "quantization": model.quantization or "unknown",
        "is_downloaded": stored is not None,
        "is_loaded": model.model_id in loaded,
        "file_size_bytes": size,
        "file_size_formatted": format_bytes(size),
    }


def _list(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    models = list(entries)
    return {"models": models, "total_count": len(models)}


async def _stored(ask: Services) -> dict[str, Stored]:
    return {stored.model_id: stored for stored in await anyio.to_thread.run_sync(ask.library.all)}


def _loaded(ask: Services) -> set[str]:
    return {member.model.model_id for member in ask.server.fleet.members()}


@router.get("", response_model=ModelList)
async def list_models(ask: Ask) -> Any:
    """All models there are, on disk or not."""
    stored, loaded = await _stored(ask), _loaded(ask)
    return _list(_entry(model, stored.get(model.model_id), loaded) for model in ask.registry.all())


@router.get("/downloaded", response_model=DownloadedList)
async def list_downloaded(ask: Ask) -> Any:
    """The models that are whole on disk."""
    stored, loaded = await _stored(ask), _loaded(ask)
    return _list(
        _entry(model, found, loaded) | {"download_date": format_time(found.downloaded_at)}
        for model in ask.registry.all()
        if (found := stored.get(model.model_id))
    )


@router.get("/loaded", response_model=LoadedList)
async def list_loaded(ask: Ask) -> Any:
    """The models in memory."""
    stored = await _stored(ask)
    members = ask.server.fleet.members()
    loaded = {member.model.model_id for member in members}
    return _list(
        # Loaded is downloaded: a file that vanished under a loaded model is the library's news, not this list's.
        _entry(member.model, stored.get(member.model.model_id), loaded)
        | {"is_downloaded": True, "loaded_at": format_time(member.loaded_at)}
        for member in members
    )


@router.post("/unload-all", response_model=DoneAnswer)
async def unload_all(ask: Ask) -> Any:
    """Free the memory of all models; the server stays up and loads again with the next request."""
    await ask.server.unload_all()
    return {"success": True, "message": "All models unloaded successfully"}


def _downloaded(done: Downloaded) -> dict[str, Any]:
    return {
        "success": True,
        "message": "Model downloaded successfully",
        "model_name": done.model.simple_name,
        "actual_model_id": done.model.model_id,
        "file_size_bytes": done.file_size_bytes,
        "download_time_seconds": done.seconds,
    }


@router.post("/{model_name:path}/download", response_model=DownloadAnswer)
async def download(model_name: str, ask: Ask) -> Any:
    """Fetch a model and wait for it; callers of the same model share one download."""
    operation = ask.downloads.fetch(ask.server.resolve(model_name))
    return _downloaded(await operation.result())


@router.post("/{model_name:path}/download-stream", response_class=EventStream)
async def download_stream(model_name: str, ask: Ask) -> EventStream:
    """Fetch a model, with the progress as server-sent events; a second caller joins the first."""
    operation = ask.downloads.fetch(ask.server.resolve(model_name))
    await operation.begun()
    return stream_operation(operation, _downloaded)


@router.delete("/{model_name:path}", response_model=DeleteAnswer)
async def delete(model_name: str, ask: Ask) -> Any:
    """Remove a model from disk."""
    model = ask.server.resolve(model_name)
    freed = await ask.server.delete(model)
    return {
        "success": True,
        "message": "Model deleted successfully",
        "model_name": model.simple_name,
        "freed_space_bytes": freed,
        "freed_space_formatted": format_bytes(freed),
    }
