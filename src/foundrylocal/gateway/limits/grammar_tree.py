"""A grammar as a tree: what the notation of the engine, and a JSON schema, are read into.

Invariant: only values, which nothing changes once a grammar has been read.
"""

from __future__ import annotations

from dataclasses import dataclass, field


class GrammarTooMuch(Exception):
    """The text of it says what of the grammar is not taken."""


@dataclass(slots=True, frozen=True)
class Read:
    """Something that is read: a "literal", a [class], a `.` or a <token>, as it is written."""

    text: str


@dataclass(slots=True)
class Repeat:
    item: Node
    least: int
    most: int | None


@dataclass(slots=True)
class Choice:
    """Alternatives, each a sequence; a name in it is a rule."""

    ways: list[list[Node]] = field(default_factory=lambda: [[]])


Node = Repeat | Choice | Read | str
