"""An answer of /v1/responses that was made to be calls: its message becomes items of the type function_call."""

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
from foundrylocal.gateway.limits.constraint import Constraint

# The engine's events of the message as which it sees the answer.
_OF_THE_MESSAGE = ("response.output_text.", "response.content_part.", "response.output_item.")


class ResponsesCalls:
    """One answer. `may_be_words` is whether it may be a message instead."""

    def __init__(
        self, constraint: Constraint, field: str, must_end: bool, may_be_words: bool = False
    ) -> None:
        self._follower = Follower(constraint, field, must_end)
        self._reader = CallReader(may_be_words)
        self._items: list[Json] = []
        self._message_events: list[bytes] = []
        self._is_message = False

    def whole(self, raw: bytes) -> bytes:
        answer = json.loads(raw)
        for item in answer["output"]:
            for part in item.get("content") or () if item.get("type") == "message" else ():
                self._read(part["text"])
        self._read_end(is_stop=answer.get("status") == "completed")
        self._replace_message(answer)
        return dump(answer)

    def events(self, block: bytes) -> bytes:
        return b"".join(self._event(event) for event in split_events(block))

    def _event(self, event: bytes) -> bytes:
        data = data_of(event)
        kind = str((data or {}).get("type"))
        if data is None or self._is_message:
            return event + b"\n\n"
        if kind == "response.output_text.delta":
            return self._text(event, data["delta"])
        if kind.startswith(_OF_THE_MESSAGE) and data.get("item", {}).get("type", "message") == "message":
            self._message_events.append(event + b"\n\n")
            return b""
        if kind == "response.completed":
            before = self._read_end(is_stop=True)
            self._replace_message(data["response"])
            return before + _event(kind, data)
        return event + b"\n\n"

    def _text(self, event: bytes, text: str) -> bytes:
        self._message_events.append(event + b"\n\n")
        found = self._read(text)
        if self._is_message:  # decided now: what was held back belongs to it
            found, self._message_events = b"".join(self._message_events), []
        return found

    def _read(self, text: str) -> bytes:
        self._follower.follow(0, text)
        return self._events_of(self._reader.feed(text))

    def _read_end(self, is_stop: bool) -> bytes:
        if is_stop:
            self._follower.end(0)
        found = self._events_of(self._reader.end())
        return b"".join(self._message_events) if self._is_message else found + self._done()

    def _events_of(self, pieces: Iterable[Piece]) -> bytes:
        events: list[bytes] = []
        for piece in pieces:
            match piece:
                case CallBegins(name):
                    events += [self._done(), self._begin(name)]
                case ArgumentsText(text):
                    item = self._items[-1]
                    item["arguments"] += text
                    events.append(
                        _event(
                            "response.function_call_arguments.delta", {"item_id": item["id"], "delta": text}
                        )
                    )
                case Words():
                    self._is_message = True
        return b"".join(events)

    def _begin(self, name: str) -> bytes:
        item = {
            "id": f"fc_{token_urlsafe(18)}",
            "type": "function_call",
            "status": "in_progress",
            "call_id": f"call_{token_urlsafe(18)}",
            "name": name,
            "arguments": "",
        }
        self._items.append(item)
        return _event("response.output_item.added", {"item": dict(item)})

    def _done(self) -> bytes:
        """The end of the call that is under way."""
        if not self._items or self._items[-1]["status"] == "completed":
            return b""
        item = self._items[-1]
        item["status"] = "completed"
        arguments = {"item_id": item["id"], "name": item["name"], "arguments": item["arguments"]}
        return _event("response.function_call_arguments.done", arguments) + _event(
            "response.output_item.done", {"item": dict(item)}
        )

    def _replace_message(self, answer: Json) -> None:
        if not self._is_message:
            others = [item for item in answer.get("output") or () if item.get("type") != "message"]
            answer["output"] = [*others, *self._items]


def _event(kind: str, data: Json) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + dump({"type": kind, **data}) + b"\n\n"
