"""Beyond the publication: one model into and out of memory, verified, imported, searched for on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Request

from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import OF_A_BODY, OF_A_DOWNLOAD, describe_body, refusals
from foundrylocal.api.services import Services, services
from foundrylocal.catalog.memory import available_bytes
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads import verification
from foundrylocal.downloads.hub import queries as hub_queries
from foundrylocal.downloads.imports.discovery import find_existing
from foundrylocal.downloads.quantization import Choice
from foundrylocal.errors import (
    InsufficientMemory,
    InvalidRequest,
    ModelCorrupted,
    ModelInUse,
    ModelLoading,
    ModelNotDownloaded,
    ModelNotFound,
    ModelNotOnDisk,
    OperationCancelled,
    OperationInProgress,
    PortInUse,
    ServerShuttingDown,
    ServerStartFailed,
    ServerStartTimeout,
)
from foundrylocal.kit.clock import format_time
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.wire.models import DownloadAnswer
from foundrylocal.wire.upkeep import (
    ImportableList,
    ImportBody,
    LoadAnswer,
    SearchAnswer,
    SearchBody,
    UnloadAnswer,
    VerifyAnswer,
    VerifyBody,
)

router = APIRouter(prefix="/models", tags=["Model Management"])
Ask = Annotated[Services, Depends(services)]
_LOADING = (
    ModelLoading,
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
# What loading takes beyond the file, as a share of it: a guess, since the header is not here yet.
_BEYOND_FILE = 1.2


@router.post("/{model_name:model}/load", response_model=LoadAnswer, responses=refusals(*_LOADING))
async def load(model_name: str, ask: Ask) -> Any:
    """Have a downloaded model in memory beside the others; starts the server when it does not run."""
    model = ask.server.resolve(model_name)
    replica = await ask.model_manager.load(model)
    return {
        "success": True,
        "message": "Model loaded successfully",
        "model_name": model.simple_name,
        "loaded_model_id": model.model_id,
        "loaded_at": format_time(replica.loaded_at) if replica else None,
    }


@router.post("/{model_name:model}/unload", response_model=UnloadAnswer, responses=refusals(ModelNotFound))
async def unload(model_name: str, ask: Ask) -> Any:
    """Take a model out of memory, when its requests have ended."""
    model = ask.server.resolve(model_name)
    was_there = await ask.model_manager.unload(model)
    message = "Model unloaded successfully" if was_there else "Model is not loaded"
    return {"success": True, "message": message, "model_name": model.simple_name}


@router.post(
    "/{model_name:model}/verify",
    response_model=VerifyAnswer,
    responses=refusals(ModelNotFound, ModelNotOnDisk, ModelInUse, *OF_A_BODY, *OF_A_DOWNLOAD),
    openapi_extra=describe_body(VerifyBody, is_required=False),
)
async def verify(model_name: str, request: Request, ask: Ask) -> Any:
    """Read every byte of a model again and name what is wrong; with `repair`, fetch that again."""
    body = await parse_body(request, VerifyBody)
    model = ask.server.resolve(model_name)
    verdict = await verification.verify(ask.library, model)
    if body.repair and not verdict.is_sound:
        with ask.server.pool.kept_out(model):
            repair = await ask.downloads.repair(model)
        await repair.result()
        verdict = await verification.verify(ask.library, model)
    return {
        "success": True,
        "message": "Model is sound" if verdict.is_sound else _how_to_repair(verdict.can_repair),
        "model_name": model.simple_name,
        "is_sound": verdict.is_sound,
        "can_repair": verdict.can_repair,
        "files": [
            {"name": file.name, "size_bytes": file.size_bytes, "problem": file.problem}
            for file in verdict.files
        ],
    }


def _how_to_repair(can_repair: bool) -> str:
    if can_repair:
        return 'Model is damaged: repeat with {"repair": true} to fetch what is wrong again'
    return "Model is damaged: delete it and import it again"


@router.get("/importable", response_model=ImportableList, responses=refusals())
async def list_importable(ask: Ask) -> Any:
    """Models of other programs on this machine; an import with mode `link` uses one without copying it."""
    folders = [Path(folder) for folder in ask.settings.current.model_folders]
    found = await anyio.to_thread.run_sync(find_existing, folders)
    models = [
        {
            "store": one.store,
            "name": one.name,
            "path": str(one.path),
            "projector_path": str(one.projector_path) if one.projector_path else None,
            "quantization": one.quantization,
            "file_size_bytes": one.size_bytes,
            "file_size_formatted": format_bytes(one.size_bytes),
        }
        for one in found
    ]
    return {"models": models, "total_count": len(models)}


@router.post(
    "/import",
    response_model=DownloadAnswer,
    responses=refusals(ModelNotFound, *OF_A_BODY, *OF_A_DOWNLOAD),
    openapi_extra=describe_body(ImportBody),
)
async def import_model(request: Request, ask: Ask) -> Any:
    """Make a model known and have it on disk: from a path of this machine, or from the hub."""
    body = await parse_body(request, ImportBody)
    done = await ask.downloads.fetch(await _imported(body, ask)).result()
    return {
        "success": True,
        "message": "Model imported successfully",
        "model_name": done.model.simple_name,
        "actual_model_id": done.model.model_id,
        "file_size_bytes": done.file_size_bytes,
        "download_time_seconds": done.seconds,
    }


async def _imported(body: ImportBody, ask: Services) -> Model:
    if (body.path is None) == (body.repo is None):
        raise InvalidRequest("Say what to import", "Give either path or repo.", param="path")
    if body.path is not None:
        return await ask.importer.from_path(
            body.path, how=body.mode, name=body.name, projector_path=body.projector_path
        )
    what = body.file or body.quantization
    return await ask.importer.from_hub(
        f"{body.repo}:{what}" if what else str(body.repo),
        name=body.name,
        allowed_hosts=ask.settings.current.hub_allowed_hosts,
    )


@router.post(
    "/search",
    response_model=SearchAnswer,
    responses=refusals(*OF_A_BODY, *OF_A_DOWNLOAD),
    openapi_extra=describe_body(SearchBody),
)
async def search(request: Request, ask: Ask) -> Any:
    """Repositories of the hub with GGUF files: their quantizations, sizes, and whether each fits now."""
    body = await parse_body(request, SearchBody)
    hosts = ask.settings.current.hub_allowed_hosts
    found = await hub_queries.search(body.query, limit=body.limit, allowed_hosts=hosts)
    free = await anyio.to_thread.run_sync(available_bytes)
    repositories = [
        {
            "repo": one.repo,
            "revision": one.revision,
            "license": one.license,
            "downloads": one.downloads,
            "is_gated": one.is_gated,
            "choices": [_choice(choice, free) for choice in one.choices],
        }
        for one in found
    ]
    return {"repositories": repositories, "total_count": len(repositories)}


def _choice(choice: Choice, free: int) -> dict[str, Any]:
    size = choice.size_bytes
    return {
        "quantization": choice.quantization or "unknown",
        "files": [file.path for file in choice.files],
        "file_size_bytes": size,
        "file_size_formatted": None if size is None else format_bytes(size),
        "fits_memory": None if size is None else size * _BEYOND_FILE <= free,
    }
