"""A chat answer that was made to be calls, as the engine writes one when the model calls on its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from secrets import token_urlsafe

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.constrained.call_reader import (
    ArgumentsText,
    CallBegins,
    CallReader,
    Piece,
    Words,
)
from foundrylocal.gateway.dialects.constrained.filters import Follower, data_of
from foundrylocal.gateway.dialects.events import dump, split_events
from foundrylocal.gateway.limits.adherence import Adherence


class ChatCalls:
    """One chat answer, or several of the same request."""

    def __init__(self, start: Adherence, field: str, must_end: bool, may_be_words: bool = False) -> None:
        self._follower = Follower(start, field, must_end)
        self._may_be_words = may_be_words
        self._choices: dict[int, _Choice] = {}

    def whole(self, raw: bytes) -> bytes:
        if not raw.lstrip().startswith(b"{"):
            return self.events(raw)
        answer = json.loads(raw)
        for choice in answer["choices"]:
            message = choice["message"]
            calls, words = self._read_whole(choice["index"], message.get("content") or "")
            if calls:
                message["tool_calls"] = calls
            message["content"] = words or None
            self._note_end(choice, bool(calls))
        return dump(answer)

    def events(self, block: bytes) -> bytes:
        return b"".join(self._event(event) for event in split_events(block))

    def _read_whole(self, index: int, text: str) -> tuple[list[Json], str]:
        self._follower.follow(index, text)
        reader = CallReader(self._may_be_words)
        calls: list[Json] = []
        words = ""
        for piece in (*reader.feed(text), *reader.end()):
            match piece:
                case CallBegins(name):
                    calls.append(new_call(name))
                case ArgumentsText(text):
                    calls[-1]["function"]["arguments"] += text
                case Words(text):
                    words += text
        return calls, words

    def _event(self, event: bytes) -> bytes:
        chunk = data_of(event)
        if chunk is None or not chunk.get("choices"):
            return event + b"\n\n"
        parts: list[bytes] = []
        for choice in chunk["choices"]:
            state = self._choices.setdefault(choice["index"], _Choice(CallReader(self._may_be_words)))
            text = choice["delta"].pop("content", None)
            if "role" in choice["delta"]:
                choice["delta"]["content"] = None
            deltas = [choice["delta"]] if choice["delta"] else []
            if text:
                self._follower.follow(choice["index"], text)
                deltas += state.deltas(state.reader.feed(text))
            if choice["finish_reason"] is not None:
                deltas += state.deltas(state.reader.end())
                self._note_end(choice, state.calls > 0)
            last = deltas.pop() if deltas else None
            parts += [_chunk(chunk, choice | {"delta": delta, "finish_reason": None}) for delta in deltas]
            if last is not None or choice["finish_reason"] is not None:
                parts.append(_chunk(chunk, choice | {"delta": last or {}}))
        return b"".join(parts)

    def _note_end(self, choice: Json, has_calls: bool) -> None:
        if choice["finish_reason"] == "stop":
            self._follower.end(choice["index"])
            if has_calls:
                choice["finish_reason"] = "tool_calls"


class _Choice:
    def __init__(self, reader: CallReader) -> None:
        self.reader = reader
        self.calls = 0

    def deltas(self, pieces: Iterable[Piece]) -> list[Json]:
        """What the client gets for these pieces."""
        found: list[Json] = []
        for piece in pieces:
            match piece:
                case CallBegins(name):
                    found.append({"tool_calls": [{"index": self.calls, **new_call(name)}]})
                    self.calls += 1
                case ArgumentsText(text):
                    function = {"arguments": text}
                    found.append({"tool_calls": [{"index": self.calls - 1, "function": function}]})
                case Words(text):
                    found.append({"content": text})
        return found


def new_call(name: str) -> Json:
    """A call without its arguments."""
    return {
        "id": f"call_{token_urlsafe(18)}",
        "type": "function",
        "function": {"name": name, "arguments": ""},
    }


def _chunk(chunk: Json, choice: Json) -> bytes:
    """The chunk with one choice; the engine's figures only with the last one."""
    kept = (
        chunk if choice["finish_reason"] is not None else {k: v for k, v in chunk.items() if k != "timings"}
    )
    return b"data: " + dump(kept | {"choices": [choice]}) + b"\n\n"
