"""What a call can fail with: one tree, each error with a message, why it happened, and the next step.

`ApiError` is an error that the service answered with; it has a subclass for each published `type`, and its `code`
says exactly which error it is. The other subclasses of `ClientError` mean that no proper answer arrived.
"""

from __future__ import annotations

from typing import Any

from foundrylocal.client.next_steps import NEXT_STEPS
from foundrylocal.kit.sentences import sentence


class ClientError(Exception):
    """Base class: `message` says what happened, `why` the cause if it is known, `next_step` what to do."""

    def __init__(self, message: str, why: str | None = None, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [self.message, self.why, f"Next: {self.next_step}" if self.next_step else None]
        return " ".join(sentence(part) for part in parts if part)


# --- no proper answer -----------------------------------------------------------------------------------


class InvalidAddress(ClientError):
    """The address of the service is written in a way that cannot be used."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"'{url}' is not the address of a service", None, "Write it as http://127.0.0.1:9500."
        )


class Unreachable(ClientError):
    """Nothing is listening at the address."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"No service answers at {url}",
            reason,
            "Start it with `foundrylocal serve`, or correct the address.",
        )


class NoAnswer(ClientError):
    """The service took the call and did not answer in time."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(
            f"{url} did not answer in {timeout_s:g} s",
            None,
            "Check that the service runs: `foundrylocal status`.",
        )


class ConnectionLost(ClientError):
    """The connection broke before the answer, or the stream of events, was complete."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"The connection to {url} was lost", reason, "Check that the service runs: `foundrylocal status`."
        )


class NotFoundryLocal(ClientError):
    """Something answers at the address, but not as a FoundryLocal API does."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        super().__init__(
            f"Another program is using {url}: it does not answer as the FoundryLocal API",
            reason,
            "Use the address that `foundrylocal status` shows.",
        )


class ServerNotRunning(ClientError):
    """The service runs, but its gateway does not answer applications yet."""

    def __init__(self, status: str) -> None:
        super().__init__(
            "The FoundryLocal server is not running", f"Its status is {status}.", "Call start(MODEL)."
        )


# --- errors that the service answered with --------------------------------------------------------------


class ApiError(ClientError):
    """The service answered with an error: `status` of HTTP, `type` and `code` as published.

    `details` is what the service says to do, `reason` the specific cause where `details` is a fixed text, `param` the
    field that is wrong, and `retry_after_s` the wait that it asks for.
    """

    def __init__(self, status: int, error: dict[str, Any], retry_after_s: int | None = None) -> None:
        self.status = status
        self.code = str(error.get("code"))
        self.type = str(error.get("type"))
        self.details: str | None = _text(error.get("details"))
        self.reason: str | None = _text(error.get("reason"))
        self.param: str | None = _text(error.get("param"))
        self.retry_after_s = retry_after_s
        super().__init__(
            str(error["message"]), self.reason or self.details, NEXT_STEPS.get(self.code) or self.details
        )


class InvalidRequestError(ApiError):
    """The type `invalid_request_error`."""


class ConfigurationError(ApiError):
    """The type `configuration_error`."""


class AuthenticationError(ApiError):
    """The type `authentication_error`."""


class PermissionDenied(ApiError):
    """The type `permission_error`."""


class NotFoundError(ApiError):
    """The type `not_found_error`."""


class TimedOut(ApiError):
    """An operation of the service took longer than its time limit."""


class ConflictError(ApiError):
    """The type `conflict_error`."""


class PreconditionFailed(ApiError):
    """The type `precondition_failed`."""


class RateLimited(ApiError):
    """The type `rate_limit_error`."""


class DownloadError(ApiError):
    """The type `download_error`."""


class ServerError(ApiError):
    """The type `server_error`."""


class Unavailable(ApiError):
    """The type `unavailable_error`."""


class InsufficientResources(ApiError):
    """The type `insufficient_resources`."""


_BY_TYPE: dict[str, type[ApiError]] = {
    "invalid_request_error": InvalidRequestError,
    "configuration_error": ConfigurationError,
    "authentication_error": AuthenticationError,
    "permission_error": PermissionDenied,
    "not_found_error": NotFoundError,
    "timeout_error": TimedOut,
    "conflict_error": ConflictError,
    "precondition_failed": PreconditionFailed,
    "rate_limit_error": RateLimited,
    "download_error": DownloadError,
    "server_error": ServerError,
    "unavailable_error": Unavailable,
    "insufficient_resources": InsufficientResources,
}


def error_of(body: object, status: int, retry_after: str | None = None) -> ApiError | None:
    """The error in an answer or a final event; None if it does not have the published shape."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return None
    wait_s = int(retry_after) if retry_after and retry_after.isdecimal() else None
    return _BY_TYPE.get(str(error.get("type")), ApiError)(status, error, wait_s)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
