"""The calls in an answer that was made to be calls: `{"name":"...","arguments":{...}}`, one a line.

Invariant: the text is read once, in pieces of any size; what has been read is given away at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD = '{"name":"'
_BETWEEN = ',"arguments":'
# A name of 256 characters, each of them escaped. What goes on for longer is no call.
_MAX_HEAD_CHARS = 2048


@dataclass(frozen=True, slots=True)
class CallBegins:
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsText:
    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """Text of an answer that is not a call."""

    text: str


Piece = CallBegins | ArgumentsText | Words


class CallReader:
    """Reads one answer. `may_be_words` is whether the answer may be something else than calls."""

    def __init__(self, may_be_words: bool = False) -> None:
        self._may_be_words = may_be_words
        self._is_words = False
        self._held = ""
        self._depth = 0
        self._is_in_text = self._is_escaped = self._is_in_arguments = False

    def feed(self, text: str) -> Iterator[Piece]:
        """The pieces that `text` brings."""
        self._held += text
        while self._held:
            if self._is_words:
                held, self._held = self._held, ""
                yield Words(held)
            elif self._is_in_arguments:
                yield from self._arguments()
            elif (begins := self._head()) is not None:
                yield begins
            elif not self._is_words:
                return

    def end(self) -> Iterator[Piece]:
        """What was held back, when the answer ends before it became a call."""
        if self._may_be_words and self._held and not self._is_in_arguments:
            yield Words(self._held)
        self._held = ""

    def _head(self) -> CallBegins | None:
        held = self._held.lstrip("\n")
        if self._may_be_words and not (held.startswith(_HEAD) or _HEAD.startswith(held)):
            self._is_words = True
            return None
        end = _end_of_text(held, len(_HEAD) - 1)
        rest = held[end:] if end else ""
        if not rest.startswith(_BETWEEN):
            is_call = _BETWEEN.startswith(rest) if end else len(held) <= _MAX_HEAD_CHARS
            if self._may_be_words and not is_call:
                self._is_words = True
            return None
        self._held = rest[len(_BETWEEN) :]
        self._is_in_arguments = True
        return CallBegins(json.loads(held[len(_HEAD) - 1 : end]))

    def _arguments(self) -> Iterator[Piece]:
        for at, letter in enumerate(self._held):
            if self._is_in_text:
                self._is_in_text = self._is_escaped or letter != '"'
                self._is_escaped = letter == "\\" and not self._is_escaped
            elif letter == '"':
                self._is_in_text = True
            elif letter in "{[":
                self._depth += 1
            elif letter in "}]":
                self._depth -= 1
                if self._depth < 0:  # the bracket of the call itself
                    text, self._held = self._held[:at], self._held[at + 1 :]
                    self._is_in_arguments, self._depth = False, 0
                    self._may_be_words = False
                    if text:
                        yield ArgumentsText(text)
                    return
        text, self._held = self._held, ""
        yield ArgumentsText(text)


def _end_of_text(text: str, begin: int) -> int:
    """Behind the closing quote of the JSON string that begins there; 0 when it has not come yet."""
    is_escaped = False
    for at in range(begin + 1, len(text)):
        if text[at] == '"' and not is_escaped:
            return at + 1
        is_escaped = text[at] == "\\" and not is_escaped
    return 0
