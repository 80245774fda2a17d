"""Models: lists, details, loading and unloading, deletion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
from fastapi import APIRouter, Request

from foundrylocal.api import details
from foundrylocal.api.answers import json_answer
from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import OF_A_BODY, describe_body, refusals
from foundrylocal.api.entries import entry_of, idle_entry
from foundrylocal.api.paths import model_at_path
from foundrylocal.api.services import Services, ServicesDep
from foundrylocal.catalog.library import Stored
from foundrylocal.errors import (
    ClusterUnreachable,
    InsufficientMemory,
    ModelCorrupted,
    ModelInUse,
    ModelLoading,
    ModelNotDownloaded,
    ModelNotFound,
    ModelNotOnDisk,
    NodeLost,
    OperationCancelled,
    OperationInProgress,
    PortInUse,
    ServerShuttingDown,
    ServerStartFailed,
    ServerStartTimeout,
    SystemExhausted,
)
from foundrylocal.kit.clock import format_time
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.wire.load_options import given_options
from foundrylocal.wire.models import (
    DeleteAnswer,
    DownloadedList,
    LoadAnswer,
    LoadBody,
    LoadedList,
    ModelDetails,
    ModelList,
    UnloadAnswer,
)
from foundrylocal.wire.server import UnloadAllAnswer

router = APIRouter(prefix="/models", tags=["Model Management"])
_OF_A_LOAD = (
    ModelLoading,
    SystemExhausted,
    ClusterUnreachable,
    NodeLost,
    OperationCancelled,
    ServerShuttingDown,
    ModelNotFound,
    ModelNotDownloaded,
    ModelCorrupted,
    OperationInProgress,
    PortInUse,
    ServerStartFailed,
    ServerStartTimeout,
    InsufficientMemory,
)


def _list(entries: Iterable[Any]) -> dict[str, Any]:
    models = list(entries)
    return {"models": models, "total_count": len(models)}


async def _stored(services: Services) -> dict[str, Stored]:
    return {stored.model_id: stored for stored in await anyio.to_thread.run_sync(services.library.all)}


def _loaded(services: Services) -> set[str]:
    return {replica.model.model_id for replica in services.server.pool.loaded()}


@router.get("", response_model=ModelList, responses=refusals())
async def list_models(services: ServicesDep) -> Any:
    """All models in the registry, downloaded or not."""
    stored, loaded = await _stored(services), _loaded(services)
    return json_answer(
        _list(
            entry_of(model, stored.get(model.model_id), loaded)
            if model.model_id in stored or model.model_id in loaded
            else idle_entry(model)
            for model in services.registry.all()
        )
    )


@router.get("/downloaded", response_model=DownloadedList, responses=refusals())
async def list_downloaded(services: ServicesDep) -> Any:
    """The models that are completely downloaded."""
    stored, loaded = await _stored(services), _loaded(services)
    return json_answer(
        _list(
            entry_of(model, found, loaded) | {"download_date": format_time(found.downloaded_at)}
            for model in services.registry.all()
            if (found := stored.get(model.model_id))
        )
    )


@router.get("/loaded", response_model=LoadedList, responses=refusals())
async def list_loaded(services: ServicesDep) -> Any:
    """The models in memory."""
    stored = await _stored(services)
    replicas = services.server.pool.loaded()
    loaded = {replica.model.model_id for replica in replicas}
    return _list(
        entry_of(replica.model, stored.get(replica.model.model_id), loaded)
        | {"loaded_at": format_time(replica.loaded_at)}
        for replica in replicas
    )


@router.post(
    "/unload-all", response_model=UnloadAllAnswer, responses=refusals(OperationInProgress, OperationCancelled)
)
async def unload_all(services: ServicesDep) -> Any:
    """Unload all models; the server keeps running and reloads a model on the next request."""
    await services.server.unload_all()
    return {"success": True, "message": "All models unloaded successfully"}


@router.post(
    "/{model_name:model}/load",
    response_model=LoadAnswer,
    openapi_extra=describe_body(LoadBody, is_required=False),
    responses=refusals(*OF_A_BODY, *_OF_A_LOAD),
)
async def load(model_name: str, request: Request, services: ServicesDep) -> Any:
    """Load a downloaded model beside the others; starts the server if it is stopped."""
    body = await parse_body(request, LoadBody)
    model = services.server.resolve(model_name)
    options = given_options(body.options) if body.options else None
    replica = await services.model_manager.load(
        model, options, is_strict=bool(body.options and body.options.strict)
    )
    return {
        "success": True,
        "message": "Model loaded successfully",
        "model_name": model.simple_name,
        "loaded_model_id": model.model_id,
        "loaded_at": format_time(replica.loaded_at) if replica else None,
    }


@router.post("/{model_name:model}/unload", response_model=UnloadAnswer, responses=refusals(ModelNotFound))
async def unload(model_name: str, services: ServicesDep) -> Any:
    """Unload a model once its running requests have finished."""
    model = services.server.resolve(model_name)
    was_loaded = await services.model_manager.unload(model)
    message = "Model unloaded successfully" if was_loaded else "Model is not loaded"
    return {"success": True, "message": message, "model_name": model.simple_name}


# The paths of these two overlap the routes above: they take any name, so that every model can be reached.


@router.get("/{model_name:path}", response_model=ModelDetails, responses=refusals(ModelNotFound))
async def show(model_name: str, request: Request, services: ServicesDep) -> Any:
    """Details of one model: facts from its file, memory it needs, and whether that is free now."""
    model = model_at_path(request, model_name, services.server.resolve)
    stored = await anyio.to_thread.run_sync(services.library.get, model.model_id)
    return entry_of(model, stored, _loaded(services)) | await details.of_model(services, model)


@router.delete(
    "/{model_name:path}",
    response_model=DeleteAnswer,
    responses=refusals(ModelNotFound, ModelNotOnDisk, ModelInUse),
)
async def delete(model_name: str, request: Request, services: ServicesDep) -> Any:
    """Delete a model's files from disk."""
    model = model_at_path(request, model_name, services.server.resolve)
    freed = await services.model_manager.delete(model)
    return {
        "success": True,
        "message": "Model deleted successfully",
        "model_name": model.simple_name,
        "freed_space_bytes": freed,
        "freed_space_formatted": format_bytes(freed),
    }
