"""Disk space: checked before a download, and reported when it runs out.

Invariant: a download that needs space starts only when its own need, the need of the downloads admitted before it
and a reserve fit into the cache folder.
"""

from __future__ import annotations

import errno
import itertools
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foundrylocal.catalog.place import Place
from foundrylocal.errors import DiskRefused, DownloadFailed, FoundryLocalError, InsufficientDiskSpace
from foundrylocal.kit.sizes import format_bytes

RESERVE_BYTES = 256 * 1024 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}


@dataclass(frozen=True, slots=True)
class DiskNeed:
    """Bytes that a download still needs in the cache folder, what is free there, and why that is too little."""

    needed_bytes: int
    free_bytes: int
    refusal: InsufficientDiskSpace | None = None


class SpaceLedger:
    """What the admitted downloads still need, in the order of their admission; for any thread."""

    def __init__(self, reserve_bytes: int) -> None:
        self._reserve_bytes = reserve_bytes
        self._needs: dict[Place, Callable[[], int]] = {}
        self._lock = threading.Lock()

    def claim(self, place: Place, needs: Callable[[], int]) -> None:
        """Promise space to a download, or update its need; `needs` returns the bytes needed at that moment.

        Raises InsufficientDiskSpace when earlier downloads leave too little; blocks on the disk. A download that
        needs nothing, such as a link, is always admitted.
        """
        with self._lock:
            own_bytes = needs()
            if own_bytes > 0:
                self._require(place, own_bytes)
            self._needs[place] = needs

    def look(self, place: Place, own_bytes: int) -> DiskNeed:
        """What a download that needs so much would be told now; claims nothing, and blocks on the disk."""
        refusal = None
        with self._lock:
            try:
                if own_bytes > 0:
                    self._require(place, own_bytes)
            except InsufficientDiskSpace as error:
                refusal = error
        return DiskNeed(own_bytes, free_bytes(place.cache_dir), refusal)

    def _require(self, place: Place, own_bytes: int) -> None:
        earlier = itertools.takewhile(lambda entry: entry[0] != place, list(self._needs.items()))
        promised = sum(need() for other, need in earlier if other.cache_dir == place.cache_dir)
        needed = own_bytes + self._reserve_bytes
        free = free_bytes(place.cache_dir)
        if free - promised < needed:
            raise InsufficientDiskSpace(
                format_bytes(needed),
                format_bytes(free),
                str(place.cache_dir),
                format_bytes(promised) if promised else None,
                format_bytes(self._reserve_bytes) if self._reserve_bytes else None,
            )

    def release(self, place: Place) -> None:
        """Forget a download's need; does nothing if it was never admitted. Waits for nothing."""
        self._needs.pop(place, None)


def download_error(error: OSError, cache_dir: Path, needed_bytes: int) -> FoundryLocalError:
    """The error for callers when the disk refused a download; blocks on the disk."""
    if error.errno in _FULL:
        return _insufficient(cache_dir, needed_bytes)
    return DownloadFailed(f"The file could not be written: {error.strerror or type(error).__name__}.")


def disk_error(what: str, error: OSError, folder: Path, needed_bytes: int) -> FoundryLocalError:
    """The error for callers when the disk refused something else, named by `what`; blocks on the disk."""
    if error.errno in _FULL:
        return _insufficient(folder, needed_bytes)
    return DiskRefused(what, error.strerror or type(error).__name__)


def _insufficient(folder: Path, needed_bytes: int) -> InsufficientDiskSpace:
    try:
        free = free_bytes(folder)
    except OSError:
        free = 0
    return InsufficientDiskSpace(format_bytes(needed_bytes), format_bytes(free), str(folder))


def free_bytes(cache_dir: Path) -> int:
    """What is free where the cache folder is, or will be made; blocks on the disk and raises OSError."""
    return shutil.disk_usage(_existing(cache_dir)).free


def disk_usage(cache_dir: Path) -> tuple[int, int]:
    """Total and free bytes of the disk of the cache folder; blocks on the disk, and (0, 0) if it does not answer."""
    try:
        usage = shutil.disk_usage(_existing(cache_dir))
    except OSError:
        return 0, 0
    return usage.total, usage.free


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
