"""Domain errors as JSON: an error that was raised on a node is raised again in the service, with its own words."""

from __future__ import annotations

from typing import Any

from foundrylocal import errors
from foundrylocal.errors import FoundryLocalError, ServerStartFailed

_UNEXPECTED = "Unexpected error on the node: {}. The node's Ray logs have more."


def encode(error: BaseException) -> dict[str, Any]:
    """The error's kind, message and details; any other exception counts as a start that failed."""
    if not isinstance(error, FoundryLocalError):
        error = ServerStartFailed(_UNEXPECTED.format(f"{type(error).__name__}: {error}"))
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "details": error.details,
        "param": error.param,
        "retry_after_s": error.retry_after_s,
    }


def decode(fields: dict[str, Any], node: str = "") -> FoundryLocalError:
    """The error again; `node` is named in its details. One of an unknown kind is a ServerStartFailed."""
    kind = getattr(errors, str(fields.get("kind")), None)
    if not (isinstance(kind, type) and issubclass(kind, FoundryLocalError)):
        kind = ServerStartFailed
    # The words are already there, so the kind's own constructor, which makes them, is left out.
    error = kind.__new__(kind)
    details = fields.get("details")
    if node:
        details = f"Node {node}: {details}" if details else f"It happened on node {node}."
    FoundryLocalError.__init__(error, str(fields.get("message")), details, param=fields.get("param"))
    error.retry_after_s = fields.get("retry_after_s")
    return error
