"""Imports: a model from a path on this machine or from the hub, and what other programs already have here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request

from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import OF_A_BODY, OF_A_DOWNLOAD, describe_body, refusals
from foundrylocal.api.services import Services, ServicesDep
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.imports.discovery import ExistingModel, find_existing
from foundrylocal.downloads.lanes import LOOKING
from foundrylocal.errors import InvalidRequest, ModelNotFound
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.wire.downloads import DownloadAnswer
from foundrylocal.wire.imports import ImportableList, ImportBody

router = APIRouter(prefix="/models", tags=["Model Management"])


@router.get("/importable", response_model=ImportableList, responses=refusals())
async def list_importable(services: ServicesDep) -> Any:
    """Models of other programs on this machine; an import with mode `link` uses one without copying it."""
    folders = [Path(folder) for folder in services.settings.current.model_folders]
    found = await LOOKING.run(find_existing, folders)
    return {"models": [_importable(model) for model in found], "total_count": len(found)}


def _importable(model: ExistingModel) -> dict[str, Any]:
    return {
        "store": model.store,
        "name": model.name,
        "path": str(model.path),
        "projector_path": str(model.projector_path) if model.projector_path else None,
        "quantization": model.quantization,
        "file_size_bytes": model.size_bytes,
        "file_size_formatted": format_bytes(model.size_bytes),
    }


@router.post(
    "/import",
    response_model=DownloadAnswer,
    responses=refusals(ModelNotFound, *OF_A_BODY, *OF_A_DOWNLOAD),
    openapi_extra=describe_body(ImportBody),
)
async def import_model(request: Request, services: ServicesDep) -> Any:
    """Add a model to the registry and fetch its files: from a path on this machine, or from the hub."""
    body = await parse_body(request, ImportBody)
    done = await services.downloads.fetch(await _add_to_registry(body, services)).result()
    return {
        "success": True,
        "message": "Model imported successfully",
        "model_name": done.model.simple_name,
        "actual_model_id": done.model.model_id,
        "file_size_bytes": done.file_size_bytes,
        "download_time_seconds": done.seconds,
    }


async def _add_to_registry(body: ImportBody, services: Services) -> Model:
    if (body.path is None) == (body.repo is None):
        raise InvalidRequest("Nothing to import", "Give either path or repo, not both.", param="path")
    if body.path is not None:
        return await services.importer.from_path(
            body.path, mode=body.mode, name=body.name, projector_path=body.projector_path
        )
    what = body.file or body.quantization
    return await services.importer.from_hub(
        f"{body.repo}:{what}" if what else str(body.repo),
        name=body.name,
        allowed_hosts=services.settings.current.hub_allowed_hosts,
    )
