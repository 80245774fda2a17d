"""Where the pieces of an answer go: as they are into a file, in lines broken between words at a terminal."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable
from typing import TextIO

from foundrylocal.cli.render import clean

_PARTS = re.compile(r"\n|[^\S\n]+|\S+")


def answer_writer(out: TextIO) -> Callable[[str], None]:
    """What writes pieces of text to `out` at once, without what would control a terminal."""
    if out.isatty():
        return _Wrapping(out, shutil.get_terminal_size().columns).write
    return lambda piece: _write(out, clean(piece))


def _write(out: TextIO, text: str) -> None:
    out.write(text)
    out.flush()


class _Wrapping:
    """Breaks lines before the word that would cross the right edge, also when its letters come one by one.

    A word is shown while it comes: if it grows past the edge, it is erased there and goes on in the next line. A
    word that is longer than a line, or whose script has no spaces, is left to the terminal.
    """

    def __init__(self, out: TextIO, columns: int) -> None:
        self._out = out
        self._columns = columns
        self._used = 0
        self._word = ""

    def write(self, piece: str) -> None:
        """Write the piece."""
        for part in _PARTS.findall(clean(piece)):
            if part.isspace():
                self._space(part)
            else:
                self._grow(part)
        self._out.flush()

    def _space(self, space: str) -> None:
        self._word = ""
        self._out.write(space)
        self._used = 0 if space == "\n" else self._used + len(space)

    def _grow(self, letters: str) -> None:
        before, self._word = len(self._word), self._word + letters
        is_at_the_start = self._used == before
        if not self._word.isascii() and _has_wide(self._word):
            self._out.write(letters)
            self._used = (self._used + 2 * len(letters)) % self._columns
        elif self._used + len(letters) < self._columns or is_at_the_start:
            self._out.write(letters)
            self._used += len(letters)
        else:
            self._out.write("\b" * before + " " * before + "\b" * before + f"\n{self._word}")
            self._used = len(self._word)


def _has_wide(text: str) -> bool:
    """Whether a character is not one column wide."""
    return any(unicodedata.east_asian_width(one) in "WF" or unicodedata.combining(one) for one in text)
