"""Anthropic's structured outputs by way of the engine's chat, which knows schemas where its messages do not.

Invariant: only text goes this way; the answer has the schema's JSON as its one text block.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from foundrylocal.gateway.dialects import shapes
from foundrylocal.gateway.dialects.anthropic import shapes as shapes_messages
from foundrylocal.gateway.dialects.conformance import complete
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.limits.json_schema import check_schema
from foundrylocal.gateway.routes import Dialect
from foundrylocal.gateway.stats.request_stats import RequestStats

Json = dict[str, Any]
CHAT_PATH = "/v1/chat/completions"
_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}
_dump = msgspec.json.Encoder().encode


def schema_of(asked: shapes_messages.MessagesBody) -> Json | None:
    """The schema that the answer is to have, None when none is asked for. Raises InvalidRequest."""
    for name, given in (("output_config.format", (asked.output_config or {}).get("format")), _old(asked)):
        if given is None:
            continue
        if not isinstance(given, dict) or given.get("type") != "json_schema":
            refuse(name, "must be of the type json_schema")
        if not isinstance(given.get("schema"), dict):
            refuse(f"{name}.schema", "is required")
        if asked.tools:
            refuse(name, "cannot be combined with 'tools'")
        check_schema(given["schema"], f"{name}.schema")
        return dict(given["schema"])
    return None


def _old(asked: shapes_messages.MessagesBody) -> tuple[str, object]:
    """The same under the name it had before."""
    return "output_format", asked.output_format


def chat_of(asked: shapes_messages.MessagesBody, schema: Json) -> Json:
    """The same request for the engine's chat."""
    messages = [{"role": "system", "content": _text(asked.system, "system")}] if asked.system else []
    messages += [
        {"role": turn.role, "content": _text(turn.content, f"messages[{number}].content")}
        for number, turn in enumerate(asked.messages)
    ]
    format_ = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    body: Json = {"messages": messages, "max_tokens": asked.max_tokens, "response_format": format_}
    body |= {
        name: value
        for name in ("temperature", "top_p", "top_k")
        if (value := getattr(asked, name)) is not None
    }
    if asked.stop_sequences:
        body["stop"] = asked.stop_sequences
    if asked.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _text(content: str | list[Any], place: str) -> str:
    if isinstance(content, str):
        return content
    for index, block in enumerate(content):
        if not isinstance(block, shapes_messages.TextBlock):
            refuse(f"{place}[{index}]", "must be text when the answer is to follow a schema")
    return "".join(block.text for block in content)


def message_of(answer: Json, asked: shapes.Body) -> Json:
    """The engine's chat answer as a message."""
    (choice,) = answer["choices"]
    message = _frame(answer, _usage(answer["usage"]))
    message["content"] = [{"type": "text", "text": choice["message"].get("content") or ""}]
    message["stop_reason"] = _STOP_REASONS.get(choice["finish_reason"], "end_turn")
    return complete(Dialect.MESSAGES, message, asked)


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


class MessageStream:
    """The events of a chat stream as those of a message; what is read is known at its end only."""

    def __init__(self, asked: shapes.Body, stats: RequestStats) -> None:
        self._asked = asked
        self._figures = stats
        self._has_begun = False
        self._stop_reason = "end_turn"
        self._usage: Json = {"input_tokens": 0, "output_tokens": 0}

    def __call__(self, block: bytes) -> bytes:
        return b"".join(self._one(event) for event in block.split(b"\n\n")[:-1])

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
        message = complete(Dialect.MESSAGES, _frame(chunk, dict(self._usage)), self._asked)
        block = {"type": "text", "text": "", "citations": None}
        return _event("message_start", message=message) + _event(
            "content_block_start", index=0, content_block=block
        )

    def _end(self) -> bytes:
        self._figures.note_usage(self._usage)
        usage = {"cache_creation_input_tokens": None, "server_tool_use": None, **self._usage}
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        return (
            _event("content_block_stop", index=0)
            + _event("message_delta", delta=delta, usage=usage)
            + _event("message_stop")
        )


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _dump({"type": kind, **fields}) + b"\n\n"
