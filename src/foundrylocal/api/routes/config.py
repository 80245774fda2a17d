"""Routes: /info and /config."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import Any

import anyio
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, create_model

from foundrylocal import API_VERSION
from foundrylocal.api.bodies import json_object
from foundrylocal.api.describe import OF_A_BODY, describe_body, refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.errors import ConfigurationUpdateFailed, InvalidConfiguration
from foundrylocal.settings.schema import SECRET_SETTINGS, Settings
from foundrylocal.wire.server import InfoAnswer

router = APIRouter(tags=["Configuration and Info"])

CAPABILITIES = [
    "model_management",
    "server_control",
    "streaming_download",
    "health_monitoring",
    "log_streaming",
]
_PUBLISHED_FIRST = ("port", "default_log_level")
_HIDDEN = "********"


@cache
def _engine_version() -> str:
    return importlib.metadata.version("xllamacpp")


@router.get("/info", response_model=InfoAnswer, responses=refusals())
async def info(services: ServicesDep) -> Any:
    """The service's version, capabilities and configuration."""
    settings = services.settings.current
    stored = await anyio.to_thread.run_sync(services.library.all)
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
            "total_models": len(services.registry.all()),
            "downloaded_models": len(stored),
            "loaded_models": len(services.server.pool.loaded()),
        },
    }


def _config_answer() -> type[BaseModel]:
    """The shape of the answer: the published fields, then every other setting, derived from the settings' schema."""
    fields: dict[str, Any] = {"success": (bool, ...), "message": (str, ...), "port": (int, ...)}
    fields |= {"cachedir": (str, ...), "default_log_level": (str, ...)}
    fields |= {
        name: (field.annotation, ...) for name, field in Settings.model_fields.items() if name not in fields
    }
    fields["overridden"] = (
        dict[str, str],
        Field(
            description=(
                "Settings that are fixed whatever is saved, each with the environment variable that fixes it, or "
                "'command line'."
            )
        ),
    )
    example: dict[str, Any] = {
        "success": True,
        "message": "Configuration updated successfully",
        "port": 1235,
        "cachedir": "D:\\AI\\Models",
        "default_log_level": "DEBUG",
    }
    answer: type[BaseModel] = create_model(
        "ConfigAnswer", __config__=ConfigDict(json_schema_extra={"examples": [example]}), **fields
    )
    answer.__doc__ = "Every setting, with the cache folder under both of its names."
    return answer


@router.post(
    "/config",
    response_model=_config_answer(),
    openapi_extra=describe_body("ConfigBody", is_required=False),
    responses=refusals(*OF_A_BODY, InvalidConfiguration, ConfigurationUpdateFailed),
)
async def update_config(request: Request, services: ServicesDep) -> Any:
    """Change any of the settings; settings that are left out stay unchanged."""
    changes = await json_object(request)
    reset = changes.pop("defaults", False)
    if not isinstance(reset, bool):
        raise InvalidConfiguration("The configuration is not valid", "defaults: must be true or false")
    settings = await anyio.to_thread.run_sync(lambda: services.settings.update(changes, reset=reset))
    shown = settings.model_dump()
    for name in SECRET_SETTINGS:
        shown[name] = _HIDDEN if shown[name] else None
    return {
        "success": True,
        "message": "Configuration updated successfully",
        "port": shown["port"],
        "cachedir": shown["cache_dir"],
        "default_log_level": shown["default_log_level"],
        **{name: value for name, value in shown.items() if name not in _PUBLISHED_FIRST},
        "overridden": services.settings.overridden,
    }
