"""The settings and what the service is."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, Request

from foundrylocal import API_VERSION
from foundrylocal.api.bodies import json_object
from foundrylocal.api.services import Services, services
from foundrylocal.errors import InvalidConfiguration
from foundrylocal.settings.schema import SECRET_SETTINGS, Settings
from foundrylocal.wire.server import ConfigAnswer, InfoAnswer

router = APIRouter(tags=["Configuration and Info"])
Ask = Annotated[Services, Depends(services)]
CAPABILITIES = [
    "model_management",
    "server_control",
    "streaming_download",
    "health_monitoring",
    "log_streaming",
]


@cache
def _engine_version() -> str:
    return importlib.metadata.version("xllamacpp")


@router.get("/info", response_model=InfoAnswer)
async def info(ask: Ask) -> Any:
    """What this service is and can do, and how it is configured."""
    settings = ask.settings.current
    stored = await anyio.to_thread.run_sync(ask.library.all)
    return {
        "service": "FoundryLocal API",
        "version": API_VERSION,
        "foundry_local_version": await anyio.to_thread.run_sync(_engine_version),
        "capabilities": CAPABILITIES,
        "configuration": {
            "default_port": settings.port,
            "cache_dir": settings.cache_dir,
            "default_log_level": settings.default_log_level,
        },
        "model_registry": {
            "total_models": len(ask.registry.all()),
            "downloaded_models": len(stored),
            "loaded_models": len(ask.server.fleet.members()),
        },
    }


def _body_schema() -> dict[str, Any]:
    schema = Settings.model_json_schema(ref_template="#/components/schemas/{model}")
    properties = {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in schema["properties"].items()
    }
    properties["defaults"] = {"type": "boolean", "description": "Reset every setting first."}
    body = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": body}}}}


@router.post("/config", response_model=ConfigAnswer, openapi_extra=_body_schema())
async def update_config(request: Request, ask: Ask) -> Any:
    """Change any of the settings; what is not given stays as it is."""
    changes = await json_object(request)
    reset = changes.pop("defaults", False)
    if not isinstance(reset, bool):
        raise InvalidConfiguration("The configuration is not valid", "defaults: must be true or false")
    settings = await anyio.to_thread.run_sync(lambda: ask.settings.update(changes, reset=reset))
    shown = settings.model_dump()
    for name in SECRET_SETTINGS:
        shown[name] = "********" if shown[name] else None
    return {
        "success": True,
        "message": "Configuration updated successfully",
        "port": shown.pop("port"),
        "cachedir": shown["cache_dir"],
        "default_log_level": shown.pop("default_log_level"),
        **shown,
    }
