"""HTTP statuses of domain errors, in one table, and the shape that errors are sent in."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal import errors
from foundrylocal.errors import FoundryLocalError
from foundrylocal.keys import errors as key_errors
from foundrylocal.web.asgi import Header, Send, send_whole

_STATUS: dict[type[FoundryLocalError], int] = {
    errors.InvalidRequest: 400,
    errors.MissingModelName: 400,
    errors.InvalidJson: 400,
    errors.InvalidConfiguration: 400,
    errors.InvalidApiKey: 401,
    errors.HostNotAllowed: 403,
    errors.OriginNotAllowed: 403,
    key_errors.ScopeNotAllowed: 403,
    key_errors.ModelNotAllowed: 403,
    errors.EndpointNotFound: 404,
    errors.ModelNotFound: 404,
    errors.ResponseNotFound: 404,
    errors.RequestNotFound: 404,
    errors.ModelNotOnDisk: 404,
    key_errors.KeyNotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.ServerStartTimeout: 408,
    errors.ServerAlreadyRunning: 409,
    errors.OperationInProgress: 409,
    errors.OperationCancelled: 409,
    errors.ModelUnloaded: 409,
    errors.PortInUse: 409,
    errors.ModelInUse: 409,
    key_errors.KeyExists: 409,
    key_errors.TooManyKeys: 409,
    errors.ModelNotDownloaded: 412,
    errors.EngineUnavailable: 412,
    errors.RequestTooLarge: 413,
    errors.QueueFull: 429,
    key_errors.RateLimitExceeded: 429,
    errors.RequestHeadTooLarge: 431,
    errors.DownloadFailed: 500,
    errors.ChecksumMismatch: 500,
    errors.ConfigurationUpdateFailed: 500,
    key_errors.KeysNotSaved: 500,
    errors.ServerStartFailed: 500,
    errors.ModelCorrupted: 500,
    errors.InternalError: 500,
    errors.NotSupported: 501,
    errors.WorkerCrashed: 502,
    errors.ModelLoading: 503,
    errors.SystemExhausted: 503,
    errors.ClusterUnreachable: 503,
    errors.NodeLost: 503,
    errors.ServerShuttingDown: 503,
    errors.InsufficientDiskSpace: 507,
    errors.InsufficientMemory: 507,
    errors.LoadOutOfMemory: 507,
}


def status_of(error: FoundryLocalError) -> int:
    """The status of the nearest base class in the table; 500 for an error that is not in it."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


def error_object(error: FoundryLocalError) -> dict[str, Any]:
    """`{message, type, code, details?}`, with `reason` or `param` where they are known."""
    body: dict[str, Any] = {"message": error.message, "type": error.type, "code": error.code}
    fixed = error.published_details
    if fixed is not None:
        body["details"] = fixed
        if error.details not in (None, fixed):
            body["reason"] = error.details
    elif error.details is not None:
        body["details"] = error.details
    if error.param is not None:
        body["param"] = error.param
    return body


def error_headers(error: FoundryLocalError) -> list[Header]:
    headers: list[Header] = []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if isinstance(error, errors.MethodNotAllowed):
        headers.append((b"allow", ", ".join(error.allowed).encode()))
    if isinstance(error, errors.InvalidApiKey):
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


async def send_error(send: Send, error: FoundryLocalError) -> None:
    """Send the error as a complete response."""
    body = json.dumps({"error": error_object(error)}, ensure_ascii=False).encode("utf-8", "replace")
    await send_whole(send, status_of(error), body, error_headers(error))
