"""The base class of every domain error."""

from __future__ import annotations

from typing import ClassVar


def sentence(text: str) -> str:
    """The text with a full stop at its end, unless it ends a sentence already; a reason may come from anywhere."""
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


class FoundryLocalError(Exception):
    """Base class of every error that a caller may see: `message` says what happened, `details` what to do next."""

    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    published_details: ClassVar[str | None] = None
    """Details that are the same in every case; what is known about this case is then sent as `reason`."""

    def __init__(self, message: str, details: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.param = param
        self.retry_after_s: int | None = None
