"""What the library does to files and folders, one careful step each.

Invariant: no link is followed, and a missing file is not an error.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from foundrylocal.catalog.file_names import FileKind, is_projector
from foundrylocal.catalog.gguf.read import GgufHeader, GgufInvalid, read_header, read_model

_MTIME_STEP_NS = 2_000_000_000


def read_headers(paths: Sequence[Path], *, is_adapter: bool = False) -> dict[Path, GgufHeader]:
    """The header of each model and projector among the files, by its path or that of its first part.

    Every file is read once, and a split model is checked to be complete. With `is_adapter` the file has to be a LoRA
    adapter. Raises GgufInvalid, also for a file of another kind, or OSError.
    """
    checked: set[Path] = set()
    headers = {path: read_header(path) for path in paths if is_projector(path.name)}
    for path in sorted(set(paths) - headers.keys()):
        if path not in checked:
            header, parts = read_model(path)
            checked.update(parts)
            _require_kind(header, is_adapter)
            headers[path] = header
    return headers


def _require_kind(header: GgufHeader, is_adapter: bool) -> None:
    kind = header.auxiliary_kind
    if is_adapter and kind is not FileKind.ADAPTER:
        raise GgufInvalid("It is not a LoRA adapter.")
    if not is_adapter and kind not in (None, FileKind.PROJECTOR):
        raise GgufInvalid(f"It is a {kind.value}, not a model.")


def projectors_among(headers: Mapping[Path, GgufHeader]) -> set[Path]:
    """The projectors, by name or by header: some stores name files by their content."""
    return {path for path, header in headers.items() if header.is_projector or is_projector(path.name)}


def real_folders(parent: Path) -> list[Path]:
    """The folders in a folder, without links; empty when it does not exist."""
    try:
        with os.scandir(parent) as entries:
            return [parent / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def is_link(path: Path) -> bool:
    return path.is_symlink() or path.is_junction() if hasattr(path, "is_junction") else path.is_symlink()


def unlink(path: Path) -> int:
    """Remove a file, or a link but not its target; the bytes that became free."""
    try:
        found = path.lstat()
        path.unlink()
    except FileNotFoundError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 else 0


def remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def settle_time(path: Path) -> None:
    """Round a file's modification time to what every file system can store, and sync its bytes; raises OSError.

    File systems store times at different resolutions, down to 2 s: a finer time would not survive a remount.
    """
    found = path.stat()
    # Another model's manifest may have the file under another name, with its present time.
    is_shared = found.st_nlink > 1
    even = found.st_mtime_ns - found.st_mtime_ns % _MTIME_STEP_NS
    if not is_shared:
        os.utime(path, ns=(even, even))
    with path.open("rb+") as file:
        os.fsync(file.fileno())
