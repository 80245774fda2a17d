"""The OpenAPI document: what FastAPI derives, plus the bodies and events that it does not see."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from foundrylocal import wire
from foundrylocal.settings.schema import FILE_ONLY_SETTINGS, Settings

_DESCRIPTION = (
    "Manages the FoundryLocal server: models, downloads, start, stop, switch, configuration and logs. "
    "Inference itself is on the FoundryLocal server's own port, in the format of the OpenAI API."
)
_REF = "#/components/schemas/{model}"


def config_body() -> dict[str, Any]:
    """The schema of POST /config: every setting that may be changed over HTTP, all optional, and `defaults`."""
    schema = Settings.model_json_schema(ref_template=_REF)
    properties = {
        name: {key: value for key, value in field.items() if key not in ("default", "title")}
        for name, field in schema["properties"].items()
        if name not in FILE_ONLY_SETTINGS
    }
    properties["defaults"] = {"type": "boolean", "description": "First reset every setting to its default."}
    return {
        "type": "object",
        "title": "ConfigBody",
        "description": "Any of the settings; settings that are left out stay unchanged.",
        "properties": properties,
        "additionalProperties": False,
        "examples": [
            {"port": 1235, "cache_dir": "D:\\AI\\Models", "default_log_level": "DEBUG"},
            {"default_log_level": "INFO"},
            {"defaults": True},
        ],
    }


def install(app: FastAPI) -> None:
    """Make `app.openapi()` return the complete document, built once."""
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
    schemas.update(_referenced_shapes(made, schemas))
    schemas["ConfigBody"] = config_body()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for schema in schemas.values():
        _describe_defaults(schema)
    for path in made["paths"].values():
        for operation in path.values():
            _polish(operation)
    for shape in _shapes():
        # Pydantic sorts the keys of schemas and of their examples; keep the examples in the published order.
        extra = shape.model_config.get("json_schema_extra")
        if isinstance(extra, dict) and "examples" in extra and shape.__name__ in schemas:
            schemas[shape.__name__]["examples"] = extra["examples"]
    made["components"]["securitySchemes"] = {
        "ManagementKey": {
            "type": "http",
            "scheme": "bearer",
            "description": (
                "Required only if the setting management_key is set: that key, or one of POST /keys with the scope "
                "`read` (GET calls) or `manage`."
            ),
        }
    }
    made["security"] = [{}, {"ManagementKey": []}]
    return made


def _describe_defaults(schema: dict[str, Any]) -> None:
    """Move defaults into the descriptions: code generators take a field with a default for one that is required."""
    for field in schema.get("properties", {}).values():
        default = field.pop("default", None)
        if default is not None and not isinstance(default, dict):
            text = field.get("description", "")
            field["description"] = f"{text} Default: {json.dumps(default)}.".strip()


def _polish(operation: dict[str, Any]) -> None:
    # FastAPI's own validation error; ours is a 400 in the standard error shape.
    operation["responses"].pop("422", None)
    operation["summary"] = operation.pop("description").rstrip(".")
    success = operation["responses"]["200"]
    if success["description"] == "Successful Response":
        success["description"] = "Success"


def _referenced_shapes(document: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The schemas of shapes that routes only refer to by name: bodies they parse themselves, and events."""
    referenced = set(re.findall(r'"#/components/schemas/(\w{1,100})"', json.dumps(document["paths"])))
    shapes = [shape for shape in _shapes() if shape.__name__ in referenced - known.keys()]
    _, schema = models_json_schema([(shape, "validation") for shape in shapes], ref_template=_REF)
    return dict(schema["$defs"])


def _shapes() -> list[type[BaseModel]]:
    """All shapes in `wire/`."""
    modules = [import_module(f"{wire.__name__}.{found.name}") for found in iter_modules(wire.__path__)]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__ == module.__name__
    ]
