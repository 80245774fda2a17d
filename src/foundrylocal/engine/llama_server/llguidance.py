"""Whether a llama-server was built with llguidance, read from its files: no option of it says so.

A build with llguidance reads an environment variable of that library; one without has an error message instead, and
answers such a grammar with it, or in older versions aborts. Invariant: only a build that has the variable's name and
not the message counts as one with llguidance, since a wrong yes could let a request end the engine.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_MARK = b"LLGUIDANCE_LOG_LEVEL"
_NOT_BUILT_IN = b"llguidance (cmake -DLLAMA_LLGUIDANCE=ON) is not enabled"
# The code is in the binary itself or in one of these libraries beside it.
_LIBRARIES = ("*llama-common*", "*libcommon*", "*llama-server*")
_MAX_FILES = 16


def has_llguidance(binary: Path) -> bool:
    """Whether the engine can keep the service's grammars; blocking, about a second for a gigabyte of program."""
    has_mark = False
    for path in _files(binary):
        try:
            marks = _search(path)
        except (OSError, ValueError):
            continue
        if _NOT_BUILT_IN in marks:
            return False
        has_mark = has_mark or _MARK in marks
    return has_mark


def _files(binary: Path) -> Iterator[Path]:
    resolved = binary.resolve()
    yield resolved
    folders = (resolved.parent, resolved.parent.parent / "lib")
    found = [path for folder in folders for pattern in _LIBRARIES for path in folder.glob(pattern)]
    others = {path.resolve() for path in found if path.is_file()} - {resolved}
    yield from sorted(others)[:_MAX_FILES]


def _search(path: Path) -> set[bytes]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return {mark for mark in (_MARK, _NOT_BUILT_IN) if text.find(mark) >= 0}
