"""OpenAPI descriptions of what a route's signature does not show: errors, request bodies, event streams.

Invariant: statuses come from the table in `web/errors.py`, so the description cannot differ from the behavior.
"""

from __future__ import annotations

from typing import Any

from fastapi import Response
from pydantic import BaseModel

from foundrylocal import errors
from foundrylocal.errors import FoundryLocalError
from foundrylocal.keys import errors as key_errors
from foundrylocal.web.errors import error_object, status_of
from foundrylocal.wire.server import ErrorAnswer

Described = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]
_MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"

# One instance of each error that a route may list; the examples in the document are made from these.
_SAMPLES: tuple[FoundryLocalError, ...] = (
    errors.MissingModelName(),
    errors.InvalidJson("Expecting value at line 1 column 1."),
    errors.InvalidRequest("The request is not valid", "port: Input should be a valid integer"),
    errors.InvalidConfiguration("The configuration is not valid", "port: Input should be a valid integer"),
    errors.InvalidManagementKey(),
    errors.HostNotAllowed(),
    errors.OriginNotAllowed(),
    errors.ModelNotFound("nonexistent-model"),
    errors.RequestNotFound("req-9f86d081884c7d65"),
    errors.ModelNotOnDisk(_MODEL),
    errors.ServerStartTimeout(180),
    errors.ServerAlreadyRunning(_MODEL),
    errors.OperationInProgress("starting"),
    errors.OperationCancelled("The start"),
    errors.PortInUse(1234, "python3 (pid 4242)"),
    errors.ModelInUse(_MODEL),
    errors.ModelNotDownloaded(),
    errors.EngineUnavailable(
        "cuda", "The file llama-server cannot be found: No such file or directory.", "Correct its path."
    ),
    errors.RequestTooLarge(65536),
    errors.DownloadFailed(),
    errors.ChecksumMismatch("model.gguf", "ca59ca7f…", "00000000…"),
    errors.ConfigurationUpdateFailed(),
    errors.ServerStartFailed("The engine ended before it was ready."),
    errors.ModelCorrupted(_MODEL, "File 'model.gguf' is truncated."),
    errors.InternalError(),
    errors.ModelLoading(_MODEL),
    errors.SystemExhausted("Too many open files"),
    errors.ServerShuttingDown(),
    errors.InsufficientDiskSpace("2.1 GB", "1.0 GB", "the cache folder"),
    errors.InsufficientMemory("2.1 GB", "1.0 GB"),
    key_errors.ScopeNotAllowed("read", "manage"),
    key_errors.KeyNotFound("alice"),
    key_errors.KeyExists("alice"),
    key_errors.TooManyKeys(200),
    key_errors.KeysNotSaved("No space left on device"),
)
# Errors of every call: the checks of the caller, and internal faults.
EVERYWHERE = (
    errors.InvalidManagementKey,
    errors.HostNotAllowed,
    errors.OriginNotAllowed,
    key_errors.ScopeNotAllowed,
    errors.InternalError,
)
OF_A_BODY = (errors.InvalidJson, errors.InvalidRequest, errors.RequestTooLarge)
OF_A_DOWNLOAD = (
    errors.DownloadFailed,
    errors.ChecksumMismatch,
    errors.InsufficientDiskSpace,
    errors.OperationCancelled,
    errors.ServerShuttingDown,
)


def refusals(*kinds: type[FoundryLocalError]) -> Responses:
    """The `responses` of a route that may fail with these errors, with an example of each."""
    by_status: Responses = {}
    for sample in _SAMPLES:
        if type(sample) in kinds or type(sample) in EVERYWHERE:
            entry = by_status.setdefault(status_of(sample), {"codes": {}})
            entry["codes"][sample.code] = {"value": {"error": error_object(sample)}}
    for entry in by_status.values():
        codes = entry.pop("codes")
        entry["description"] = ", ".join(f"`{code}`" for code in codes)
        # A reference instead of FastAPI's `model`, which builds a validator for each of 270 refusals at every start.
        entry["content"] = {"application/json": {"schema": reference(ErrorAnswer), "examples": codes}}
    return by_status


def describe_body(shape: type[BaseModel] | str, *, is_required: bool = True) -> Described:
    """The schema of a body that the route parses itself."""
    content = {"application/json": {"schema": reference(shape)}}
    return {"requestBody": {"required": is_required, "content": content}}


def reference(shape: type[BaseModel] | str) -> Described:
    """The schema that refers to `shape`; `openapi.py` adds what is referred to."""
    return {"$ref": f"#/components/schemas/{shape if isinstance(shape, str) else shape.__name__}"}


class StreamAnswer(Response):
    """The media type of an event stream; used in the description only."""

    media_type = "text/event-stream"


def describe_stream(event: type[BaseModel] | str, example: str) -> Responses:
    """A 200 that is an event stream; `event` is the shape of the JSON after each `data: `."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": reference(event),
    }
    # One event as clients of event streams see it; on the wire it is one `data:` line and a blank line.
    event_schema = {
        "type": "object",
        "properties": {"data": data, "id": {"type": "string"}},
        "required": ["data"],
    }
    content = {"schema": event_schema, "example": example}
    return {200: {"description": "Server-sent events", "content": {"text/event-stream": content}}}
