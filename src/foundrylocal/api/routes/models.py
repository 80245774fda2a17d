"""What models there are: lists, details, unloading, deletion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import anyio
import msgspec
from fastapi import APIRouter, Depends

from foundrylocal.api import details
from foundrylocal.api.answers import encode, json_answer
from foundrylocal.api.describe import refusals
from foundrylocal.api.services import Services, services
from foundrylocal.catalog.library import Stored
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import (
    ModelInUse,
    ModelNotFound,
    ModelNotOnDisk,
    OperationCancelled,
    OperationInProgress,
)
from foundrylocal.kit.clock import format_time
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.wire.models import DeleteAnswer, DownloadedList, LoadedList, ModelDetails, ModelList
from foundrylocal.wire.server import UnloadAllAnswer

router = APIRouter(prefix="/models", tags=["Model Management"])
Ask = Annotated[Services, Depends(services)]


def _entry(model: Model, stored: Stored | None, loaded: set[str]) -> dict[str, Any]:
    size = stored.size_bytes if stored else model.file_size_bytes
    return {
        "model_id": model.model_id,
        "simple_name": model.simple_name,
        "size": model.size or "unknown",
        "quantization": model.quantization or "unknown",
        # Loaded is downloaded, though its file may lie in a former cache folder.
        "is_downloaded": stored is not None or model.model_id in loaded,
        "is_loaded": model.model_id in loaded,
        "file_size_bytes": size,
        "file_size_formatted": format_bytes(size),
    }


# Most of a big registry is neither on disk nor loaded, and its entries never change.
_idle_entries: dict[str, tuple[Model, msgspec.Raw]] = {}


def _idle_entry(model: Model) -> msgspec.Raw:
    known = _idle_entries.get(model.model_id)
    if known is None or known[0] is not model:
        known = _idle_entries[model.model_id] = (model, msgspec.Raw(encode(_entry(model, None, set()))))
    return known[1]


def _list(entries: Iterable[Any]) -> dict[str, Any]:
    models = list(entries)
    return {"models": models, "total_count": len(models)}


async def _stored(ask: Services) -> dict[str, Stored]:
    return {stored.model_id: stored for stored in await anyio.to_thread.run_sync(ask.library.all)}


def _loaded(ask: Services) -> set[str]:
    return {replica.model.model_id for replica in ask.server.pool.replicas()}


@router.get("", response_model=ModelList, responses=refusals())
async def list_models(ask: Ask) -> Any:
    """All models there are, on disk or not."""
    stored, loaded = await _stored(ask), _loaded(ask)
    return json_answer(
        _list(
            _entry(model, stored.get(model.model_id), loaded)
            if model.model_id in stored or model.model_id in loaded
            else _idle_entry(model)
            for model in ask.registry.all()
        )
    )


@router.get("/downloaded", response_model=DownloadedList, responses=refusals())
async def list_downloaded(ask: Ask) -> Any:
    """The models that are whole on disk."""
    stored, loaded = await _stored(ask), _loaded(ask)
    return json_answer(
        _list(
            _entry(model, found, loaded) | {"download_date": format_time(found.downloaded_at)}
            for model in ask.registry.all()
            if (found := stored.get(model.model_id))
        )
    )


@router.get("/loaded", response_model=LoadedList, responses=refusals())
async def list_loaded(ask: Ask) -> Any:
    """The models in memory."""
    stored = await _stored(ask)
    replicas = ask.server.pool.replicas()
    loaded = {replica.model.model_id for replica in replicas}
    return _list(
        _entry(replica.model, stored.get(replica.model.model_id), loaded)
        | {"loaded_at": format_time(replica.loaded_at)}
        for replica in replicas
    )


@router.post(
    "/unload-all", response_model=UnloadAllAnswer, responses=refusals(OperationInProgress, OperationCancelled)
)
async def unload_all(ask: Ask) -> Any:
    """Free the memory of all models; the server stays up and loads again with the next request."""
    await ask.server.unload_all()
    return {"success": True, "message": "All models unloaded successfully"}


@router.get("/{model_name:model}", response_model=ModelDetails, responses=refusals(ModelNotFound))
async def show(model_name: str, ask: Ask) -> Any:
    """One model: what its file says of itself, what memory it takes, whether that is free now."""
    model = ask.server.resolve(model_name)
    stored, loaded = await anyio.to_thread.run_sync(ask.library.get, model.model_id), _loaded(ask)
    return _entry(model, stored, loaded) | await details.of_model(ask, model)


@router.delete(
    "/{model_name:model}",
    response_model=DeleteAnswer,
    responses=refusals(ModelNotFound, ModelNotOnDisk, ModelInUse),
)
async def delete(model_name: str, ask: Ask) -> Any:
    """Remove a model from disk."""
    model = ask.server.resolve(model_name)
    freed = await ask.model_manager.delete(model)
    return {
        "success": True,
        "message": "Model deleted successfully",
        "model_name": model.simple_name,
        "freed_space_bytes": freed,
        "freed_space_formatted": format_bytes(freed),
    }
