"""What stands between the engine's answer and the dialect when the answer has to keep a constraint.

Invariant: an answer that breaks its constraint never looks complete to the client: it becomes an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Protocol

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.events import split_events, without_cut_character
from foundrylocal.gateway.limits.adherence import Adherence


class AnswerFilter(Protocol):
    """One answer's way from the engine: bytes in, bytes of the same form out. Raises ConstraintBroken."""

    def whole(self, raw: bytes) -> bytes:
        """The whole answer, or all of the stream that it is to be assembled from."""

    def events(self, block: bytes) -> bytes:
        """Whole events of a stream."""


FilterFactory = Callable[[], AnswerFilter]
"""Makes the filter of one answer."""


class ConstraintBroken(InvalidRequest):
    """The engine could not hold an answer to its grammar or schema."""

    def __init__(self, field: str) -> None:
        super().__init__(
            f"Invalid request: '{field}' is too complex to be enforced with this model",
            "The engine stopped enforcing it in the middle of the answer, because one step took too much work. "
            "The usual cause is a rule that can match the same characters in several ways: simplify it.",
            param=field,
        )


class Follower:
    """Follows all answers of a request, by their number. `start` is where each of them begins.

    `must_end` is whether an answer that ends by itself is complete: a stop sequence may cut one short.
    """

    def __init__(self, start: Adherence, field: str, must_end: bool) -> None:
        self._start = start
        self._field = field
        self._must_end = must_end
        self._answers: dict[int, Adherence] = {}

    def follow(self, index: int, text: str) -> None:
        """Take a piece of an answer. Raises ConstraintBroken."""
        if index not in self._answers:
            self._answers[index] = self._start.copy()
        if not self._answers[index].follow(text):
            raise ConstraintBroken(self._field)

    def end(self, index: int) -> None:
        """Take the end of an answer that no limit cut short. Raises ConstraintBroken."""
        self.follow(index, "")
        if self._must_end and not self._answers[index].is_complete():
            raise ConstraintBroken(self._field)


class FollowedText:
    """An answer in plain text: it passes unchanged."""

    def __init__(self, start: Adherence, field: str, must_end: bool) -> None:
        self._follower = Follower(start, field, must_end)

    def whole(self, raw: bytes) -> bytes:
        if not raw.lstrip().startswith(b"{"):
            return self.events(raw)
        self._follow(json.loads(raw))
        return raw

    def events(self, block: bytes) -> bytes:
        for event in split_events(block):
            self._follow(data_of(event) or {})
        return block

    def _follow(self, answer: Json) -> None:
        for index, text in texts_of(answer):
            self._follower.follow(index, text)
        for index in ended_in(answer):
            self._follower.end(index)


def data_of(event: bytes) -> Json | None:
    """The JSON of an event of the engine, None when it has none."""
    at = event.find(b"data: {")
    return json.loads(event[at + 6 :]) if at >= 0 else None


def texts_of(answer: Json) -> Iterator[tuple[int, str]]:
    """The pieces of text that a whole answer, a chunk or an event of any of the engine's endpoints brings."""
    for choice in answer.get("choices") or ():
        part = choice.get("delta") or choice.get("message") or choice
        text = part.get("content", part.get("text"))
        if isinstance(text, str):
            yield choice.get("index", 0), without_cut_character(text, choice.get("finish_reason"))
    if answer.get("type") == "response.output_text.delta":
        yield 0, answer["delta"]
    for item in answer.get("output") or ():
        for part in item.get("content") or ():
            if part.get("type") == "output_text":
                yield 0, part["text"]
    if isinstance(answer.get("content"), str):  # /infill
        yield 0, answer["content"]


def ended_in(answer: Json) -> Iterator[int]:
    """The answers that end in it by themselves."""
    for choice in answer.get("choices") or ():
        if choice.get("finish_reason") == "stop":
            yield choice.get("index", 0)
    if answer.get("type") == "response.completed" or (answer.get("object"), answer.get("status")) == (
        "response",
        "completed",
    ):
        yield 0
    if answer.get("stop_type") == "eos":  # /infill
        yield 0
