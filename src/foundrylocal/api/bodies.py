"""JSON request bodies, validated against their shape; the content type is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from foundrylocal.errors import InvalidRequest, MissingModelName
from foundrylocal.kit.sentences import sentence
from foundrylocal.web.body import parse_json, read_body

BODY_LIMIT = 64 * 1024
# A text of 32,768 characters with room for the rest; JSON may take 12 bytes for one character (\ud83d\ude00).
LONG_TEXT_LIMIT = 12 * 32_768 + BODY_LIMIT
Shape = TypeVar("Shape", bound=BaseModel)


async def json_object(request: Request, limit_bytes: int = BODY_LIMIT) -> dict[str, Any]:
    """The body as an object, empty if there is no body. Raises InvalidJson, InvalidRequest, RequestTooLarge."""
    body = await read_body(request.scope, request.receive, limit_bytes)
    if not body.removeprefix(b"\xef\xbb\xbf").strip():
        return {}
    data = parse_json(body)
    if not isinstance(data, dict):
        raise InvalidRequest("The request body must be a JSON object", f"body: got {_json_type(data)}.")
    return data


def _json_type(data: object) -> str:
    """What a JSON value that is not an object is called."""
    match data:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case list():
            return "an array"
        case str():
            return "a string"
    return "a number"


async def parse_body(request: Request, shape: type[Shape], limit_bytes: int = BODY_LIMIT) -> Shape:
    """The body as `shape`. Raises MissingModelName, as published, if a model name is missing or empty."""
    data = await json_object(request, limit_bytes)
    if "model_name" in shape.model_fields and data.get("model_name") in (None, ""):
        raise MissingModelName
    return check(data, shape)


def check(data: Mapping[str, Any], shape: type[Shape]) -> Shape:
    """Validate. Raises InvalidRequest, naming each invalid field."""
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        raise invalid_fields(error.errors(include_url=False, include_input=False)) from None


def invalid_fields(problems: Any) -> InvalidRequest:
    """One error for all fields; `details` names each field and what is wrong with it."""
    lines = []
    for problem in problems[:10]:
        where = ".".join(str(part) for part in problem["loc"] if part not in ("body", "query", "path"))
        what = "unknown field" if problem["type"] == "extra_forbidden" else problem["msg"]
        lines.append(f"{where or 'body'}: {what}")
    return InvalidRequest("The request is not valid", sentence("; ".join(lines)))
