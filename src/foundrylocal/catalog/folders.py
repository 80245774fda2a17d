"""What the library does to files and folders, one careful step each.

Invariant: no link is followed, and a file that is not there is no error.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from foundrylocal.catalog import names
from foundrylocal.catalog.gguf.read import GgufHeader, read_header, read_model

_MTIME_STEP_NS = 2_000_000_000


def read_headers(paths: Sequence[Path]) -> dict[Path, GgufHeader]:
    """The header of each model and projector among the files, by its path or that of its first part.

    Every file is read once, and a split model is checked to be whole. Raises GgufInvalid or OSError.
    """
    known: set[Path] = set()
    headers = {path: read_header(path) for path in paths if names.is_projector(path.name)}
    for path in sorted(set(paths) - headers.keys()):
        if path not in known:
            headers[path], parts = read_model(path)
            known.update(parts)
    return headers


def projectors_among(headers: Mapping[Path, GgufHeader]) -> set[Path]:
    """The files that are projectors, by name or, as some stores name files by their contents, by header."""
    return {path for path, header in headers.items() if header.is_projector or names.is_projector(path.name)}


def real_folders(parent: Path) -> list[Path]:
    """The folders in a folder, links left out; none when it is not there."""
    try:
        with os.scandir(parent) as entries:
            return [parent / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def is_link(path: Path) -> bool:
    return path.is_symlink() or path.is_junction() if hasattr(path, "is_junction") else path.is_symlink()


def unlink(path: Path) -> int:
    """Remove a file or link itself; the bytes that it alone held."""
    try:
        found = path.lstat()
        path.unlink()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 else 0


def remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def even_time(path: Path) -> None:
    """Give a file a time that every file system keeps, and bring its bytes to the disk; raises OSError.

    They keep times at different grains, down to 2 s: a finer time would not survive a remount.
    """
    found = path.stat()
    # Another name of it may be in another model's manifest, with the time that it has.
    is_shared = found.st_nlink > 1
    even = found.st_mtime_ns - found.st_mtime_ns % _MTIME_STEP_NS
    if not is_shared:
        os.utime(path, ns=(even, even))
    with path.open("rb+") as file:
        os.fsync(file.fileno())
