"""The engine's chat answer as a message of Anthropic's: text, or the tools that it calls.

Invariant: blocks are numbered in order, each is closed before the next one begins.
"""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.gateway.dialects.anthropic.answer import complete_message
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.events import dump, split_events
from foundrylocal.gateway.stats.request_stats import RequestStats

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def message_of_chat(answer: Json) -> Json:
    """The whole answer as a message, to be completed as others are."""
    (choice,) = answer["choices"]
    message = _frame(answer, _usage(answer["usage"]))
    calls = choice["message"].get("tool_calls") or ()
    text = choice["message"].get("content")
    if text or not calls:
        message["content"] = [{"type": "text", "text": text or ""}]
    message["content"] += [_tool_use(call, _parsed(call["function"]["arguments"])) for call in calls]
    message["stop_reason"] = _STOP_REASONS.get(choice["finish_reason"], "end_turn")
    return message


def _tool_use(call: Json, arguments: Json) -> Json:
    return {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": arguments}


def _parsed(arguments: str) -> Json:
    """Arguments that the token limit cut short are no JSON: the message says so by its stop reason."""
    try:
        parsed: Json = json.loads(arguments)
    except ValueError:
        return {}
    return parsed


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
        self._index = -1
        self._open = ""
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
        found = b"" if self._has_begun else self._begin(chunk)
        if chunk.get("usage"):
            self._usage = _usage(chunk["usage"])
        for choice in chunk["choices"]:
            if choice["finish_reason"]:
                self._stop_reason = _STOP_REASONS.get(choice["finish_reason"], "end_turn")
            found += self._text(choice["delta"].get("content"))
            for call in choice["delta"].get("tool_calls") or ():
                found += self._call(call)
        return found

    def _text(self, text: str | None) -> bytes:
        if not text:
            return b""
        before = b"" if self._open == "text" else self._open_block("text", {"text": "", "citations": None})
        return before + self._delta({"type": "text_delta", "text": text})

    def _call(self, call: Json) -> bytes:
        function = call["function"]
        before = b""
        if "name" in function:
            before = self._open_block("tool_use", {"id": call["id"], "name": function["name"], "input": {}})
        arguments = function.get("arguments")
        return before + (
            self._delta({"type": "input_json_delta", "partial_json": arguments}) if arguments else b""
        )

    def _delta(self, delta: Json) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def _open_block(self, kind: str, fields: Json) -> bytes:
        before = self._close_block()
        self._index, self._open = self._index + 1, kind
        return before + _event(
            "content_block_start", index=self._index, content_block={"type": kind, **fields}
        )

    def _close_block(self) -> bytes:
        return _event("content_block_stop", index=self._index) if self._open else b""

    def _begin(self, chunk: Json) -> bytes:
        self._has_begun = True
        return _event("message_start", message=complete_message(_frame(chunk, dict(self._usage))))

    def _end(self) -> bytes:
        self._stats.note_usage(self._usage)
        usage = {"cache_creation_input_tokens": None, "server_tool_use": None, **self._usage}
        delta = {"stop_reason": self._stop_reason, "stop_sequence": None}
        before = b"" if self._open else self._open_block("text", {"text": "", "citations": None})
        return (
            before
            + self._close_block()
            + _event("message_delta", delta=delta, usage=usage)
            + _event("message_stop")
        )


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dump({"type": kind, **fields}) + b"\n\n"
