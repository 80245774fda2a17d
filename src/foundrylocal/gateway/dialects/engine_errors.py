"""The engine's errors as errors of the gateway: what the caller can fix is a 4xx that names the field."""

from __future__ import annotations

import json
import re
from typing import Any

from foundrylocal.errors import (
    ContextLengthExceeded,
    FoundryLocalError,
    InternalError,
    InvalidRequest,
    ModelLoading,
    sentence,
)
from foundrylocal.gateway.dialects.body import Body

_UNSUPPORTED_INPUT = re.compile(r"(image|audio|video) input is not supported", re.IGNORECASE)
# An embedding's input must fit one batch.
_TOO_LARGE = re.compile(r"\((\d+) tokens\) is too large.*?batch size: (\d+)")
# About the content of the request, although the engine answers some of these with a 500.
_CALLERS_FAULT = re.compile(
    r"template|jinja|parse|grammar|schema|invalid|range_check|token|base64|decode|image|audio", re.IGNORECASE
)
# About what the answer must look like.
_ABOUT_CONSTRAINT = re.compile(r"grammar|sampler|schema|parser|tool|json", re.IGNORECASE)
_MAX_REASON_CHARS = 300
# What stands before a template's own words (raise_exception), which are passed on whole.
_TEMPLATE_EXCEPTION = "Jinja Exception: "
_MAX_TEMPLATE_CHARS = 4000


class EngineFailed(InternalError):
    """The engine failed on this request but is still running."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.message = "The engine could not answer this request"
        self.details = f"{sentence(reason)} Try again; if it fails again, see the service's log."


def error_of(status: int, raw: bytes, body: Body) -> FoundryLocalError:
    """The error for an engine's answer of 400 or more to the request with that body."""
    try:
        reported = json.loads(raw)["error"]
        return _error(status, reported, body)
    except (ValueError, LookupError, TypeError, AttributeError):
        return EngineFailed(f"It answered with status {status}.")


def error_in_event(event: bytes, body: Body) -> FoundryLocalError | None:
    """The error that the engine reports in an event of its stream, None when it reports none."""
    _, found, data = (b"\n" + event).partition(b"\ndata: ")
    if not found:
        _, found, data = (b"\n" + event).partition(b"\nerror: ")
    try:
        reported = json.loads(data)["error"]
    except (ValueError, LookupError, TypeError):
        return None
    if not isinstance(reported, dict):
        return None
    code = reported.get("code")
    return _error(code if isinstance(code, int) and code >= 400 else 500, reported, body)


def _error(status: int, reported: dict[str, Any], body: Body) -> FoundryLocalError:
    whole_text = str(reported.get("message") or "").strip(" .")
    _, is_of_template, reason = whole_text.partition(_TEMPLATE_EXCEPTION)
    if is_of_template:
        message = "The model's chat template refused the conversation"
        return InvalidRequest(message, f"{reason[:_MAX_TEMPLATE_CHARS]}.", param=body.content_field)
    text = whole_text[:_MAX_REASON_CHARS]
    if reported.get("type") == "exceed_context_size_error" or "n_prompt_tokens" in reported:
        prompt, context = int(reported.get("n_prompt_tokens") or 0), int(reported.get("n_ctx") or 0)
        return ContextLengthExceeded(prompt, context, body.content_field)
    if found := _TOO_LARGE.search(text):
        return ContextLengthExceeded(int(found[1]), int(found[2]), body.content_field)
    if found := _UNSUPPORTED_INPUT.search(text):
        kind = found[1].lower()
        return InvalidRequest(f"This model cannot take {kind} input", f"{text}.", param=body.content_field)
    if status == 501 or reported.get("type") == "not_supported_error":
        return InvalidRequest("This model cannot do that", f"{text}.")
    if status == 503:
        return ModelLoading(None, text or None)
    if "_M_range_check" in text:
        return InvalidRequest(
            "A token is not in the model's vocabulary", "POST /tokenize returns valid tokens.", param="tokens"
        )
    if status < 500 or _CALLERS_FAULT.search(text):
        return InvalidRequest("The engine refused the request", f"{text}.", param=_field_of(text, body))
    return EngineFailed(f"{text}.")


def _field_of(text: str, body: Body) -> str:
    """The field that a refusal is about, as far as the engine's words and the request tell."""
    is_about_constraint = _ABOUT_CONSTRAINT.search(text) is not None
    return (body.constraint_field if is_about_constraint else None) or body.content_field
