"""Errors in Ollama's shape: a status and one text.

Its clients match some of the texts and statuses: a model that is not downloaded is 404 "not found, try pulling it
first", whether the registry knows its name or not.
"""

from __future__ import annotations

from foundrylocal.errors import (
    FoundryLocalError,
    InvalidRequest,
    ModelNotDownloaded,
    ModelNotFound,
    ModelNotOnDisk,
    ToolsUnsupported,
)
from foundrylocal.gateway.errors import client_error

_NEAREST = "Did you mean"


class NotPulled(ModelNotFound):
    """The model has to be pulled first; `nearest` names similar ones."""

    def __init__(self, name: str, nearest: str | None = None) -> None:
        super().__init__(name)
        self.message = f"model '{name[:200]}' not found, try pulling it first"
        self.details = nearest


def ollama_error(error: FoundryLocalError, name: str) -> FoundryLocalError:
    """The error as this API knows it; `name` is what the request calls the model."""
    if isinstance(error, NotPulled):
        return error
    if isinstance(error, ModelNotFound):
        details = error.details or ""
        return NotPulled(name, details if details.startswith(_NEAREST) else None)
    if isinstance(error, ModelNotDownloaded | ModelNotOnDisk):
        return NotPulled(name)
    if isinstance(error, ToolsUnsupported):
        # In the words by which clients decide to go on without tools.
        return InvalidRequest(
            f"{name} does not support tools", "Name another model, or send no tools.", param="tools"
        )
    return error


def error_text(error: FoundryLocalError) -> str:
    """What happened, why, and what to do next, in one text."""
    return str(client_error(error)["message"])
