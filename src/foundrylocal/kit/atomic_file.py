"""Write to a temporary file, fsync, rename: a reader sees the old file or the new one, never a part of either."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` with `data`. Raises OSError and leaves the old file in place when anything fails."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            if sys.platform != "win32":
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    # The new file is in place: failing to sync its folder must not be reported as a failed write.
    with contextlib.suppress(OSError):
        sync_folder(path.parent)


def sweep_leftovers(path: Path) -> None:
    """Remove temporary files that a killed process left beside `path`."""
    with contextlib.suppress(OSError):
        for left in path.parent.glob(f".{path.name}.*.new"):
            left.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power failure, where the system supports it."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
