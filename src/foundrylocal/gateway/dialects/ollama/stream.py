"""The engine's streams as Ollama's lines of JSON.

Invariant: a line is one JSON object, and nothing else is sent: clients parse every line. Calls come whole.
"""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import CallPiece, ChatAnswer, FunctionPiece
from foundrylocal.gateway.dialects.chat_stream import ChatStream
from foundrylocal.gateway.dialects.events import dump, split_events
from foundrylocal.gateway.dialects.ollama.answer import Content, call_of, ending, line, logprobs_of
from foundrylocal.gateway.dialects.ollama.shapes import GenerationBody
from foundrylocal.gateway.dialects.ollama.text import TextPiece, text_ending
from foundrylocal.gateway.stats.request_stats import RequestStats

NDJSON = b"application/x-ndjson"
_DATA = b"data: {"


def encode_line(data: Json) -> bytes:
    """One line of a stream."""
    return dump(data) + b"\n"


class ChatLines(ChatStream):
    """Translates a chat stream; `content` puts what was said in its place."""

    def __init__(self, body: GenerationBody, content: Content, stats: RequestStats) -> None:
        super().__init__(stats)
        self._body = body
        self._content = content
        self._open_call: CallPiece | None = None
        self._call_count = 0

    def _event(self, event: bytes) -> bytes:
        return b"" if event.startswith(b":") else super()._event(event)

    def begin(self, chunk: ChatAnswer) -> bytes:
        return b""

    def add_reasoning(self, text: str) -> bytes:
        return self._line("", thinking=text)

    def add_text(self, text: str, logprobs: list[Json]) -> bytes:
        return self._line(text, logprobs=logprobs)

    def begin_call(self, call_id: str, name: str) -> bytes:
        closed = self._close_call()
        self._open_call = CallPiece(FunctionPiece(name), call_id)
        return closed

    def add_arguments(self, text: str) -> bytes:
        if self._open_call is not None:
            self._open_call.function.arguments += text
        return b""

    def end(self) -> bytes:
        last = ending(self._body, self._content("", "", []), self.finish_reason, self.stats, self.usage)
        return self._close_call() + encode_line(last)

    def _close_call(self) -> bytes:
        piece, self._open_call = self._open_call, None
        if piece is None or (call := call_of(piece, self._call_count)) is None:
            return b""
        self._call_count += 1
        return self._line("", calls=[call])

    def _line(
        self,
        text: str,
        thinking: str = "",
        calls: list[Json] | None = None,
        logprobs: list[Json] | None = None,
    ) -> bytes:
        content = self._content(text, thinking, calls or [])
        return encode_line(line(self._body, {**content, **logprobs_of(logprobs or [], self._body)}))


class TextLines:
    """Translates a stream of a raw prompt or of code that is filled in."""

    def __init__(self, body: GenerationBody, stats: RequestStats) -> None:
        self._body = body
        self._stats = stats
        self._decode = msgspec.json.Decoder(TextPiece).decode

    def __call__(self, block: bytes) -> bytes:
        return b"".join([self._event(event) for event in split_events(block)])

    def _event(self, event: bytes) -> bytes:
        if not event.startswith(_DATA):
            return b""
        piece = self._decode(event[len(_DATA) - 1 :])
        said = encode_line(line(self._body, {"response": piece.content})) if piece.content else b""
        if not piece.stop:
            return said
        return said + encode_line(text_ending(piece, "", self._body, self._stats))
