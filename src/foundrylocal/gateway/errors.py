"""What a client of the gateway sees of an error: one message with the next step in it, and whether to retry.

Most programs show `message` and nothing else, and their libraries decide on a retry by `x-should-retry`.
"""

from __future__ import annotations

import logging
from typing import Any

from foundrylocal.errors import (
    FoundryLocalError,
    InternalError,
    ModelCorrupted,
    ModelLoading,
    ModelNotFound,
    ModelUnloaded,
    ServerStartFailed,
)
from foundrylocal.keys.errors import RateLimitExceeded
from foundrylocal.web.asgi import Header
from foundrylocal.web.errors import error_headers, error_object, status_of

MAX_RETRY_WAIT_S = 60
_NO_RETRY: tuple[type[FoundryLocalError], ...] = (ModelCorrupted, ServerStartFailed)
_MODEL_LIST = "GET /v1/models lists the models on disk; the management API downloads others."
_LOG = "The service's log has the details: GET /logs?level=ERROR of the management API."


class UnexpectedFault(Exception):
    """Stands in a log for a fault of ours, whose own text may quote the request."""


def log_fault(log: logging.Logger, where: str, fault: Exception) -> None:
    """Log a fault of ours by its kind and its traceback, and without its text: a log never holds a prompt."""
    kind = type(fault).__name__
    stand_in = (UnexpectedFault, UnexpectedFault(kind), fault.__traceback__)
    log.error("Unexpected fault in %s: %s", where, kind, exc_info=stand_in)


def client_error(error: FoundryLocalError) -> dict[str, Any]:
    """The error object in the one shape; `param` is always in it."""
    body = {**error_object(error), "param": error.param}
    if error.published_details is None and (details := _details(error)) is not None:
        body["details"] = details
    body["message"] = _message(error, _details(error))
    if isinstance(error, ModelLoading) and error.loading is not None:
        body["loading"] = error.loading
    return body


def client_headers(error: FoundryLocalError) -> list[Header]:
    """The headers of an error, with `x-should-retry` where a retry is known to help or not to."""
    headers = error_headers(error)
    if (should_retry := _should_retry(error)) is not None:
        headers.append((b"x-should-retry", b"true" if should_retry else b"false"))
    return headers


def _details(error: FoundryLocalError) -> str | None:
    """The details, with the gateway's own paths where the domain names those of the management API."""
    if isinstance(error, ModelNotFound) and "GET /models" in (error.details or ""):
        return _MODEL_LIST
    if type(error) is InternalError:
        return _LOG
    return error.details


def _message(error: FoundryLocalError, details: str | None) -> str:
    if (
        details is None
        or error.message in details
        or (error.param and details.startswith(f"{error.param}: "))
    ):
        return error.message  # the details repeat it
    return f"{error.message.rstrip('.')}. {details}"


def _should_retry(error: FoundryLocalError) -> bool | None:
    """None where nobody knows: a worker that crashed may do better the next time."""
    status = status_of(error)
    if isinstance(error, RateLimitExceeded) and (error.retry_after_s or 0) > MAX_RETRY_WAIT_S:
        return False  # the day's tokens are used up: libraries would retry in seconds
    if status in (429, 503) or isinstance(error, ModelUnloaded):
        return True
    if status < 500 or status == 507 or isinstance(error, _NO_RETRY):
        return False
    return None
