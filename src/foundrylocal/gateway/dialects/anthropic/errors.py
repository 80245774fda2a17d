"""Errors in Anthropic's shape (docs/decisions/0013)."""

from __future__ import annotations

from foundrylocal.errors import ContextLengthExceeded, FoundryLocalError, InvalidRequest
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.errors import client_error

# Anthropic's clients know a closed list of types; the contract's other ones stand for one of them.
_TYPES = {
    "conflict_error": "invalid_request_error",
    "precondition_failed": "invalid_request_error",
    "unavailable_error": "overloaded_error",
    "configuration_error": "api_error",
    "download_error": "api_error",
    "insufficient_resources": "api_error",
    "server_error": "api_error",
}


class ThreadUnsupported(InvalidRequest):
    """A conversation that the server is to keep; clients go on without when they read the code in `details`."""

    def __init__(self) -> None:
        super().__init__(
            "Invalid request: 'thread' is not supported: send the whole conversation in 'messages'",
            param="thread",
        )


def anthropic_error(error: FoundryLocalError) -> Json:
    """An error as the body of an answer or of an event."""
    about = client_error(error)
    about["type"] = _TYPES.get(error.type, error.type)
    if isinstance(error, ContextLengthExceeded):  # in the words that Anthropic's clients match
        counts = f"{error.prompt_tokens} tokens > {error.context_tokens} maximum"
        about["message"] = f"prompt is too long: {counts}. {error.details}"
    if isinstance(error, ThreadUnsupported):
        about["details"] = {"error_code": "thread_unsupported_request"}
    return {"type": "error", "error": about, "request_id": None}
