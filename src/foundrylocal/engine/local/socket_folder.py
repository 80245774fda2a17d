"""The folder for the workers' sockets: only its owner may enter it, and its path is short, as sockets need it.

Invariant: the folder is there before each launch, whatever cleaned the place where it lies. It is locked, which
systemd-tmpfiles respects; other cleaners are why it is checked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

PREFIX = "foundrylocal-"
# The address of a socket takes 104 to 108 bytes, its terminator included.
MAX_PATH_BYTES = 80


class SocketFolder:
    """The owner of the folder; the file `record` names it, so that the next service sweeps what a crash left."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._folder: Path | None = None
        self._lock: int | None = None

    def ensure(self) -> Path:
        """The folder, made when it is not there (any more); blocking. Raises OSError."""
        if self._folder is None:
            self._sweep()
        elif _is_private(self._folder):
            return self._folder
        self._unlock()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_place()))
        try:
            self._lock = _lock(folder)
            self._record.write_text(str(folder), "utf-8")
        except OSError:
            self._unlock()
            folder.rmdir()
            raise
        self._folder = folder
        return folder

    def remove(self) -> None:
        """Remove the folder with all that is in it; blocking."""
        self._unlock()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._record.unlink(missing_ok=True)
            self._folder = None

    def _sweep(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            left = Path(self._record.read_text("utf-8"))
            if left.name.startswith(PREFIX) and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _place() -> str | None:
    """Where the folder is made: the user's runtime folder if there is one, else the system's temporary folder."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if Path(runtime).is_absolute() and _fits(runtime) and _is_private(Path(runtime)):
        return runtime
    if sys.platform != "win32" and not _fits(tempfile.gettempdir()):
        return "/tmp"  # noqa: S108 - the folder itself is made with a random name and mode 0700
    return None


def _fits(place: str) -> bool:
    return len(os.fsencode(place)) + len(f"/{PREFIX}12345678") <= MAX_PATH_BYTES


def _is_private(folder: Path) -> bool:
    """Whether it is a folder of ours that nobody else may enter."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    if sys.platform == "win32":
        return stat.S_ISDIR(found.st_mode)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _lock(folder: Path) -> int | None:
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor
