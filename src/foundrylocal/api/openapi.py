"""The OpenAPI document: what FastAPI derives, and the shapes of the bodies and events it does not see."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, Settings
from foundrylocal.wire import events, server, upkeep
from foundrylocal.wire import models as catalogue
from foundrylocal.wire.events import ChangeEvent, OperationEvent
from foundrylocal.wire.server import LogLine, StartBody
from foundrylocal.wire.upkeep import ImportBody, SearchBody, VerifyBody

_DESCRIPTION = (
    "Manages FoundryLocal servers: models, downloads, start, stop, switch, configuration and logs. "
    "Inference itself is on the FoundryLocal server's own port, in OpenAI's form."
)
_UNSEEN: tuple[type[BaseModel], ...] = (
    StartBody,
    VerifyBody,
    ImportBody,
    SearchBody,
    OperationEvent,
    ChangeEvent,
    LogLine,
)
_REF = "#/components/schemas/{model}"


def config_body() -> dict[str, Any]:
    """The schema of POST /config: every setting that HTTP may change, all optional, and the reset."""
    schema = Settings.model_json_schema(ref_template=_REF)
    properties = {
        name: {key: value for key, value in field.items() if key not in ("default", "title")}
        for name, field in schema["properties"].items()
        if name not in FILE_ONLY_SETTINGS
    }
    properties["defaults"] = {"type": "boolean", "description": "Reset every setting first."}
    return {
        "type": "object",
        "title": "ConfigBody",
        "description": "Any of the settings; what is not given stays as it is.",
        "properties": properties,
        "additionalProperties": False,
        "examples": [
            {"port": 1235, "cache_dir": "D:\\AI\\Models", "default_log_level": "DEBUG"},
            {"default_log_level": "INFO"},
            {"defaults": True},
        ],
    }


def install(app: FastAPI) -> None:
    """Make `app.openapi()` the whole document, built once."""
    document: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not document:
            document.update(_build(app))
        return document

    app.openapi = openapi  # type: ignore[method-assign] # the framework's documented way


def _build(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    _, unseen = models_json_schema([(shape, "validation") for shape in _UNSEEN], ref_template=_REF)
    schemas.update(unseen["$defs"])
    schemas["ConfigBody"] = config_body()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in made["paths"].values():
        for operation in path.values():
            _polish(operation)
    for shape in _shapes():
        # Schemas are written with sorted keys, their examples too; people read them in the published order.
        extra = shape.model_config.get("json_schema_extra")
        if isinstance(extra, dict) and "examples" in extra and shape.__name__ in schemas:
            schemas[shape.__name__]["examples"] = extra["examples"]
    made["components"]["securitySchemes"] = {
        "ManagementKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "Only where the setting management_key is set.",
        }
    }
    made["security"] = [{}, {"ManagementKey": []}]
    return made


def _polish(operation: dict[str, Any]) -> None:
    # The framework's own shape of a refusal; ours is a 400 in the one error shape.
    operation["responses"].pop("422", None)
    operation["summary"] = operation.pop("description").rstrip(".")
    success = operation["responses"]["200"]
    if success["description"] == "Successful Response":
        success["description"] = "Success"


def _shapes() -> list[type[BaseModel]]:
    """Every shape of the wire."""
    return [
        value
        for module in (catalogue, events, server, upkeep)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseModel)
    ]
