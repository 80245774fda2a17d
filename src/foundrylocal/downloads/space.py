"""Room on the disk, asked before a download and named when it ran out.

Invariant: a download starts only when what it still needs, what those admitted before it still need, and a
reserve fit into the cache folder.
"""

from __future__ import annotations

import errno
import itertools
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from foundrylocal.catalog.place import Place
from foundrylocal.errors import DownloadFailed, FoundryLocalError, InsufficientDiskSpace
from foundrylocal.kit.sizes import format_bytes

RESERVE_BYTES = 256 * 1024 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}


class Room:
    """What the downloads that were admitted still need, in the order of their admission; for any thread."""

    def __init__(self, reserve_bytes: int) -> None:
        self._reserve_bytes = reserve_bytes
        self._needs: dict[Place, Callable[[], int]] = {}
        self._lock = threading.Lock()

    def claim(self, place: Place, needs: Callable[[], int]) -> None:
        """Promise room to a download, or say anew what it needs, by a call that tells the bytes of now.

        Raises InsufficientDiskSpace when what is left by earlier ones is too little; blocks on the disk.
        """
        with self._lock:
            earlier = itertools.takewhile(lambda one: one[0] != place, list(self._needs.items()))
            promised = sum(need() for other, need in earlier if other.cache_dir == place.cache_dir)
            needed = needs() + self._reserve_bytes
            free = free_bytes(place.cache_dir)
            if free - promised < needed:
                raise InsufficientDiskSpace(
                    format_bytes(needed),
                    format_bytes(free),
                    str(place.cache_dir),
                    format_bytes(promised) if promised else None,
                )
            self._needs[place] = needs

    def release(self, place: Place) -> None:
        """Forget what a download needed; one that was never admitted is fine. Waits for nothing."""
        self._needs.pop(place, None)


def from_os_error(error: OSError, cache_dir: Path, needed_bytes: int) -> FoundryLocalError:
    """What a caller is told of a disk that refused; blocks on the disk."""
    if error.errno in _FULL:
        try:
            free = free_bytes(cache_dir)
        except OSError:
            free = 0
        return InsufficientDiskSpace(format_bytes(needed_bytes), format_bytes(free), str(cache_dir))
    return DownloadFailed(f"The disk refused the file: {error.strerror or type(error).__name__}.")


def free_bytes(cache_dir: Path) -> int:
    """What is free where the cache folder is, or will be made; blocks on the disk and raises OSError."""
    return shutil.disk_usage(_existing(cache_dir)).free


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
