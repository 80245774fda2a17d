"""What the engine says when it refuses, told in the one error shape: the caller's fault is a 4xx that says so."""

from __future__ import annotations

import json
import re
from typing import Any

from foundrylocal.errors import FoundryLocalError, InternalError, InvalidRequest, ModelLoading
from foundrylocal.gateway.dialects.requests import Prepared
from foundrylocal.gateway.routes import Dialect
from foundrylocal.web.errors import error_object

_UNSUPPORTED_INPUT = re.compile(r"(image|audio|video) input is not supported", re.IGNORECASE)
# The same of an embedding's input, which must fit one batch.
_TOO_LARGE = re.compile(r"\((\d+) tokens\) is too large.*?batch size: (\d+)")
# Of a request's content, though the engine calls some of it a fault of its own.
_CALLERS_FAULT = re.compile(
    r"template|jinja|parse|grammar|schema|invalid|range_check|token|base64|decode|image|audio", re.IGNORECASE
)
# Of what the answer is to look like.
_OF_THE_FORM = re.compile(r"grammar|sampler|schema|parser|tool|json", re.IGNORECASE)
_MAX_SHOWN = 300
# Anthropic's clients know these types and no others; the rest of the contract's stand for one of them.
_ANTHROPIC_TYPES = {
    "conflict_error": "invalid_request_error",
    "precondition_failed": "invalid_request_error",
    "unavailable_error": "overloaded_error",
    "configuration_error": "api_error",
    "download_error": "api_error",
    "insufficient_resources": "api_error",
    "server_error": "api_error",
}


class EngineRefused(InternalError):
    """The engine failed on this request and lives."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.message = "The engine could not answer this request"
        self.details = reason


def error_of(status: int, body: bytes, asked: Prepared | None = None) -> FoundryLocalError:
    """The error that an engine's answer of 400 or more stands for."""
    try:
        said = json.loads(body)["error"]
        text = str(said.get("message") or "").strip(" .")[:_MAX_SHOWN]
    except (ValueError, KeyError, TypeError, AttributeError):
        return EngineRefused(f"It answered {status}.")
    return error_of_object(status, said, text, asked)


def error_of_object(
    status: int, said: dict[str, Any], text: str, asked: Prepared | None = None
) -> FoundryLocalError:
    if said.get("type") == "exceed_context_size_error" or "n_prompt_tokens" in said:
        return context_exceeded(said.get("n_prompt_tokens"), said.get("n_ctx"), asked)
    found = _TOO_LARGE.search(text)
    if found:
        return context_exceeded(found[1], found[2], asked)
    found = _UNSUPPORTED_INPUT.search(text)
    if found:
        kind = found[1].lower()
        return InvalidRequest(f"This model cannot take {kind} input", f"{text}.", param=_content_of(asked))
    if status == 501 or said.get("type") == "not_supported_error":
        return InvalidRequest("This model cannot do that", f"{text}.")
    if status == 503:
        return ModelLoading(None, text or None)
    if "_M_range_check" in text:
        return InvalidRequest(
            "A token is not one of the model's", "See /tokenize for its tokens.", param="tokens"
        )
    if status < 500 or _CALLERS_FAULT.search(text):
        return InvalidRequest("The engine refused the request", f"{text}.", param=_field_of(text, asked))
    return EngineRefused(f"{text}.")


def context_exceeded(prompt: object, context: object, asked: Prepared | None) -> InvalidRequest:
    """A prompt that does not fit, with both counts, in the words that OpenAI's clients look for."""
    return InvalidRequest(
        f"This model's maximum context length is {context} tokens, and the request has {prompt} tokens",
        f"context_length_exceeded: prompt {prompt} tokens, context {context} tokens. Shorten it, or start the "
        "model with a larger context_size.",
        param=_content_of(asked),
    )


def _content_of(asked: Prepared | None) -> str | None:
    """The field that holds what the model is to read."""
    return _first_of(asked, ("messages", "prompt", "input", "content", "tokens", "input_prefix"))


def _field_of(text: str, asked: Prepared | None) -> str | None:
    """The field that a refusal is about, as far as the engine's words and what the request holds tell."""
    if asked is not None and _OF_THE_FORM.search(text):
        form = "output_config.format" if asked.schema is not None else None
        form = form or _first_of(asked, ("grammar", "json_schema", "response_format", "tools"))
        if form == "response_format" and hasattr(asked.asked, "text"):
            form = "text.format"
        if form is not None:
            return form
    return _content_of(asked)


def _first_of(asked: Prepared | None, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if getattr(asked and asked.asked, name, None) is not None), None)


def error_body(error: FoundryLocalError, dialect: Dialect | None) -> dict[str, Any]:
    """The one shape, `param` always in it; with Anthropic's types where Anthropic's clients look for them."""
    told = {**error_object(error), "param": error.param}
    if dialect is Dialect.MESSAGES:
        return {"type": "error", "error": told | {"type": _ANTHROPIC_TYPES.get(error.type, error.type)}}
    return {"error": told}


def error_event(error: FoundryLocalError, dialect: Dialect) -> bytes:
    """The failure of a stream that has begun, as an event of its own in the form of its dialect."""
    body = error_body(error, dialect)
    if dialect is Dialect.RESPONSES:
        about = {"code": error.code, "message": error.message, "param": error.param, "sequence_number": 0}
        body = {"type": "error", **about, **body}
    head = b"event: error\n" if dialect in (Dialect.MESSAGES, Dialect.RESPONSES) else b""
    return head + b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
