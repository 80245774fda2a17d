"""The preset of one model: show, change, remove."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError

from foundrylocal.api.answers import json_answer
from foundrylocal.api.bodies import LONG_TEXT_LIMIT, check, invalid_fields, json_object
from foundrylocal.api.describe import OF_A_BODY, describe_body, refusals
from foundrylocal.api.routes import models
from foundrylocal.api.services import Services, ServicesDep
from foundrylocal.errors import ConfigurationUpdateFailed, ModelNotFound
from foundrylocal.server.presets import PresetView
from foundrylocal.wire.presets import PresetAnswer, PresetBody, PresetChangeAnswer

router = APIRouter(prefix="/models", tags=["Presets"])
_PATH = "/{model_name:model}/preset"


@router.get(_PATH, response_model=PresetAnswer, responses=refusals(ModelNotFound))
async def show_preset(model_name: str, request: Request, services: ServicesDep) -> Any:
    """What is saved for a model, what its next load and requests use, and where each value comes from."""
    if _is_a_model(model_name, services):
        return json_answer(await models.show(f"{model_name}/preset", request, services))
    return _answer(await services.presets.show(services.server.resolve(model_name)))


@router.post(
    _PATH,
    response_model=PresetChangeAnswer,
    openapi_extra=describe_body(PresetBody, is_required=False),
    responses=refusals(ModelNotFound, ConfigurationUpdateFailed, *OF_A_BODY),
)
async def change_preset(model_name: str, request: Request, services: ServicesDep) -> Any:
    """Save values for a model; null removes one, values that are left out stay. `dry_run` saves nothing."""
    given = await json_object(request, LONG_TEXT_LIMIT)
    body = check(given, PresetBody)
    values = body.model_dump(mode="json", exclude={"dry_run"})
    changes = {name: value for name, value in values.items() if name in given}
    model = services.server.resolve(model_name)
    try:
        view = await services.presets.change(model, changes, is_dry_run=body.dry_run)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False, include_input=False)) from None
    message = "Preset is valid; nothing was saved" if body.dry_run else "Preset saved successfully"
    return _changed(view, message)


@router.delete(
    _PATH, response_model=PresetChangeAnswer, responses=refusals(ModelNotFound, ConfigurationUpdateFailed)
)
async def reset_preset(model_name: str, request: Request, services: ServicesDep) -> Any:
    """Remove everything that is saved for a model."""
    if _is_a_model(model_name, services):
        return json_answer(await models.delete(f"{model_name}/preset", request, services))
    return _changed(
        await services.presets.reset(services.server.resolve(model_name)), "Preset removed successfully"
    )


def _is_a_model(model_name: str, services: Services) -> bool:
    """Whether the whole path is the name of a model, such as `local/preset`, and none has the name before it."""

    def is_known(name: str) -> bool:
        try:
            services.server.resolve(name)
        except ModelNotFound:
            return False
        return True

    return not is_known(model_name) and is_known(f"{model_name}/preset")


def _answer(view: PresetView) -> dict[str, Any]:
    return {
        "model": view.model.simple_name,
        "saved": view.saved,
        "effective": view.effective,
        "sources": view.sources,
    }


def _changed(view: PresetView, message: str) -> dict[str, Any]:
    return {"success": True, "message": message, **_answer(view), "applies": view.applies}
