"""The sets of characters that a grammar reads, and which of them have a character in common.

Invariant: the same set has the same number, however it is written.
"""

from __future__ import annotations

import re

_MAX_CHARACTER = 0x10FFFF
_CHARACTER = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|(.)", re.DOTALL)
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}
_Ranges = tuple[tuple[int, int], ...]


class Letters:
    """Sets by number."""

    def __init__(self) -> None:
        self._numbers: dict[_Ranges, int] = {}
        self._sets: list[_Ranges] = []
        self._tokens: dict[str, int] = {}

    def read(self, text: str) -> list[int]:
        """The sets that a "literal", a [class], a `.` or a <token> reads one after the other."""
        if text[0] == '"':
            return [self._number(((one, one),)) for one, _ in _characters(text[1:-1])]
        if text[0] == "[":
            return [self._number(_class(text[1:-1]))]
        if text == ".":
            return [self._number(((0, _MAX_CHARACTER),))]
        # What a token is written like only the model knows: it is the same as itself, and as nothing else.
        token = -self._tokens.setdefault(text, len(self._tokens) + 1)
        return [self._number(((token, token),))]

    def meet(self, one: int, other: int) -> bool:
        """Whether something is in both sets."""
        return _meet(self._sets[one], self._sets[other])

    def size(self, one: int) -> int:
        return len(self._sets[one])

    def _number(self, ranges: _Ranges) -> int:
        if ranges not in self._numbers:
            self._numbers[ranges] = len(self._sets)
            self._sets.append(ranges)
        return self._numbers[ranges]


def _characters(text: str) -> list[tuple[int, bool]]:
    """Each character, and whether it is written as itself."""
    found = []
    for two, four, eight, escaped, plain in _CHARACTER.findall(text):
        code = two or four or eight
        found.append((int(code, 16) if code else ord(_NAMED.get(escaped, escaped or plain)), bool(plain)))
    return found


def _class(text: str) -> _Ranges:
    others = text.startswith("^")
    characters = _characters(text[others:])
    ranges, at = [], 0
    while at < len(characters):
        first = last = characters[at][0]
        if at + 2 < len(characters) and characters[at + 1] == (ord("-"), True):
            last = characters[at + 2][0]
            at += 2
        at += 1
        if first <= last:
            ranges.append((first, last))
    return _merged(ranges, others)


def _merged(ranges: list[tuple[int, int]], others: bool) -> _Ranges:
    """In order and with nothing in common; if `others`, all that is between."""
    inside: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if inside and first <= inside[-1][1] + 1:
            inside[-1] = (inside[-1][0], max(last, inside[-1][1]))
        else:
            inside.append((first, last))
    if not others:
        return tuple(inside)
    ends = [-1, *(end for first, last in inside for end in (first, last)), _MAX_CHARACTER + 1]
    between = zip(ends[::2], ends[1::2], strict=True)
    return tuple((before + 1, after - 1) for before, after in between if before + 1 < after)


def _meet(one: _Ranges, other: _Ranges) -> bool:
    here = there = 0
    while here < len(one) and there < len(other):
        if max(one[here][0], other[there][0]) <= min(one[here][1], other[there][1]):
            return True
        if one[here][1] < other[there][1]:
            here += 1
        else:
            there += 1
    return False
