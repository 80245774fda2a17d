"""Anthropic's structured outputs by way of the engine's chat, which knows schemas where its messages do not.

Invariant: only text goes this way; the answer has the schema's JSON as its one text block.
"""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.gateway.dialects.anthropic.answer import complete_message
from foundrylocal.gateway.dialects.anthropic.shapes import MessagesBody, TextBlock
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.events import dump, split_events
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.limits.json_schema import check_schema
from foundrylocal.gateway.stats.request_stats import RequestStats

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}


def schema_of(body: MessagesBody) -> Json | None:
    """The schema that the answer must follow, None when the request has none."""
    return next((dict(given["schema"]) for _, given in _formats(body)), None)


def check_schema_request(body: MessagesBody) -> None:
    """Check a format and its schema. Raises InvalidRequest that names the field."""
    for name, given in _formats(body):
        if not isinstance(given, dict) or given.get("type") != "json_schema":
            refuse(name, "must be of the type json_schema")
        if not isinstance(given.get("schema"), dict):
            refuse(f"{name}.schema", "is required")
        if body.tools:
            refuse(name, "cannot be combined with 'tools'")
        check_schema(given["schema"], f"{name}.schema")


def _formats(body: MessagesBody) -> list[tuple[str, Any]]:
    """The format under its name, and under the one that it had before."""
    formats = [
        ("output_config.format", (body.output_config or {}).get("format")),
        ("output_format", body.output_format),
    ]
    return [(name, given) for name, given in formats if given is not None]


def chat_for_engine(body: MessagesBody, schema: Json) -> Json:
    """The same request for the engine's chat."""
    messages = [{"role": "system", "content": _text(body.system, "system")}] if body.system else []
    messages += [
        {"role": turn.role, "content": _text(turn.content, f"messages[{number}].content")}
        for number, turn in enumerate(body.messages)
    ]
    format_ = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    fields: Json = {"messages": messages, "max_tokens": body.max_tokens, "response_format": format_}
    fields |= {
        name: value
        for name in ("temperature", "top_p", "top_k")
        if (value := getattr(body, name)) is not None
    }
    if body.stop_sequences:
        fields["stop"] = body.stop_sequences
    if body.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return fields


def _text(content: str | list[Any], place: str) -> str:
    if isinstance(content, str):
        return content
    for index, block in enumerate(content):
        if not isinstance(block, TextBlock):
            refuse(f"{place}[{index}]", "must be text when the answer is to follow a schema")
    return "".join(block.text for block in content)


def message_of_chat(answer: Json) -> Json:
    """The engine's chat answer as a message, to be completed as others are."""
    (choice,) = answer["choices"]
    message = _frame(answer, _usage(answer["usage"]))
    message["content"] = [{"type": "text", "text": choice["message"].get("content") or ""}]
    message["stop_reason"] = _STOP_REASONS.get(choice["finish_reason"], "end_turn")
    return message


def _frame(answer: Json, usage: Json) -> Json:
    return {
        "id": answer["id"],
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": answer["model"],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _usage(given: Json) -> Json:
    cached = int((given.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    return {
        "input_tokens": given["prompt_tokens"] - cached,
        "cache_read_input_tokens": cached,
        "output_tokens": given["completion_tokens"],
    }


class ChatAsMessageStream:
    """The events of a chat stream as those of a message; the prompt's tokens are known at its end only."""

    def __init__(self, stats: RequestStats) -> None:
        self._stats = stats
        self._has_begun = False
        self._stop_reason = "end_turn"
        self._usage: Json = {"input_tokens": 0, "output_tokens": 0}

    def __call__(self, block: bytes) -> bytes:
        return b"".join(self._one(event) for event in split_events(block))

    def _one(self, event: bytes) -> bytes:
        if event == b"data: [DONE]":
            return self._end()
        if event.startswith(b":"):
            return event + b"\n\n"  # keeps the connection alive
        if not event.startswith(b"data: {"):
            return b""
        chunk = json.loads(event[6:])
        begin = b"" if self._has_begun else self._begin(chunk)
        if chunk.get("usage"):
            self._usage = _usage(chunk["usage"])
        for choice in chunk["choices"]:
            if choice["finish_reason"]:
                self._stop_reason = _STOP_REASONS.get(choice["finish_reason"], "end_turn")
            text = choice["delta"].get("content")
            if text:
                begin += _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
        return begin

    def _begin(self, chunk: Json) -> bytes:
        self._has_begun = True
        message = complete_message(_frame(chunk, dict(self._usage)))
        block = {"type": "text", "text": "", "citations": None}
        return _event("message_start", message=message) + _event(
            "content_block_start", index=0, content_block=block
        )

    def _end(self) -> bytes:
        self._stats.note_usage(self._usage)
        usage = {"cache_creation_input_tokens": None, "server_tool_use": None, **self._usage}
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        return (
            _event("content_block_stop", index=0)
            + _event("message_delta", delta=delta, usage=usage)
            + _event("message_stop")
        )


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dump({"type": kind, **fields}) + b"\n\n"
