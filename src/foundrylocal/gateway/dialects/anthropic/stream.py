"""A chat stream of the engine as the events of a message.

Invariant: one block is open at a time, and each has the next index.
"""

from __future__ import annotations

from collections.abc import Callable

from foundrylocal.gateway.dialects.anthropic.answer import (
    delta_usage,
    message_frame,
    stop_of,
    text_block,
    thinking_block,
    tool_block,
)
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import ChatAnswer, reasoning_tokens
from foundrylocal.gateway.dialects.chat_stream import ChatStream
from foundrylocal.gateway.dialects.events import dump
from foundrylocal.gateway.stats.request_stats import RequestStats


class MessagesStream(ChatStream):
    """Translates one stream."""

    def __init__(self, stats: RequestStats) -> None:
        super().__init__(stats)
        self._index = -1
        self._kind: str | None = None

    def begin(self, chunk: ChatAnswer) -> bytes:
        message = message_frame(chunk, self.stats.model_id, self.usage)
        return _event("message_start", message=message)

    def add_reasoning(self, text: str) -> bytes:
        return self._open("thinking", lambda: thinking_block("")) + self._delta(
            "thinking_delta", "thinking", text
        )

    def add_text(self, text: str, logprobs: list[Json]) -> bytes:
        return self._open("text", lambda: text_block("")) + self._delta("text_delta", "text", text)

    def begin_call(self, call_id: str, name: str) -> bytes:
        return self._close() + self._open("tool_use", lambda: tool_block(call_id, name))

    def add_arguments(self, text: str) -> bytes:
        return self._delta("input_json_delta", "partial_json", text)

    def end(self) -> bytes:
        thinking = reasoning_tokens(self.usage, self.reasoning_chars, self.other_chars)
        usage = delta_usage(self.usage, thinking)
        ended = _event("message_delta", delta=stop_of(self.finish_reason, self.last), usage=usage)
        return self._close() + ended + _event("message_stop")

    def _open(self, kind: str, block: Callable[[], Json]) -> bytes:
        if self._kind == kind:
            return b""
        closed = self._close()
        self._kind = kind
        self._index += 1
        return closed + _event("content_block_start", index=self._index, content_block=block())

    def _close(self) -> bytes:
        if self._kind is None:
            return b""
        # A client keeps a thought only with its signature, which comes as the last piece of the block.
        signed = self._delta("signature_delta", "signature", "") if self._kind == "thinking" else b""
        self._kind = None
        return signed + _event("content_block_stop", index=self._index)

    def _delta(self, kind: str, name: str, text: str) -> bytes:
        return (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
            % (
                self._index,
                dump({"type": kind, name: text}),
            )
        )


def _event(kind: str, **fields: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dump({"type": kind, **fields}) + b"\n\n"
