"""Verifies the files of a stored model, and downloads damaged ones again on request."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from foundrylocal.api.bodies import parse_body
from foundrylocal.api.describe import OF_A_BODY, OF_A_DOWNLOAD, describe_body, refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.downloads.verification import Verdict
from foundrylocal.errors import ModelInUse, ModelNotFound, ModelNotOnDisk
from foundrylocal.wire.verify import VerifyAnswer, VerifyBody

router = APIRouter(prefix="/models", tags=["Model Management"])


@router.post(
    "/{model_name:model}/verify",
    response_model=VerifyAnswer,
    responses=refusals(ModelNotFound, ModelNotOnDisk, ModelInUse, *OF_A_BODY, *OF_A_DOWNLOAD),
    openapi_extra=describe_body(VerifyBody, is_required=False),
)
async def verify(model_name: str, request: Request, services: ServicesDep) -> Any:
    """Read every byte of a model and report damaged files; with `repair`, download those again."""
    body = await parse_body(request, VerifyBody)
    model = services.server.resolve(model_name)
    verdict = await services.downloads.verify(model)
    if body.repair and not verdict.is_sound:
        with services.server.pool.block_loads(model):
            repair = await services.downloads.repair(model)
        await repair.result()
        verdict = await services.downloads.verify(model)
    return {
        "success": True,
        "message": _message(verdict),
        "model_name": model.simple_name,
        "is_sound": verdict.is_sound,
        "can_repair": verdict.can_repair,
        "files": [
            {"name": file.name, "size_bytes": file.size_bytes, "problem": file.problem}
            for file in verdict.files
        ],
    }


def _message(verdict: Verdict) -> str:
    if verdict.is_sound:
        return "All files of the model are intact"
    if verdict.can_repair:
        return (
            'Model is damaged: repeat the request with {"repair": true} to download the damaged files again'
        )
    return "Model is damaged: delete it and import it again"
