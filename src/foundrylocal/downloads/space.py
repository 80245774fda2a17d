"""Room on the disk, asked before a download and named when it ran out.

Invariant: a download starts only when what it still needs and a reserve fit into the cache folder.
"""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from foundrylocal.errors import DownloadFailed, FoundryLocalError, InsufficientDiskSpace
from foundrylocal.kit.sizes import format_bytes

RESERVE_BYTES = 256 * 1024 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}


def require_space(cache_dir: Path, needed_bytes: int) -> None:
    """Raises InsufficientDiskSpace when fewer than `needed_bytes` are free; blocks on the disk."""
    free = shutil.disk_usage(_existing(cache_dir)).free
    if free < needed_bytes:
        raise InsufficientDiskSpace(format_bytes(needed_bytes), format_bytes(free), str(cache_dir))


def from_os_error(error: OSError, cache_dir: Path, needed_bytes: int) -> FoundryLocalError:
    """What a caller is told of a disk that refused; blocks on the disk."""
    if error.errno in _FULL:
        try:
            free = shutil.disk_usage(_existing(cache_dir)).free
        except OSError:
            free = 0
        return InsufficientDiskSpace(format_bytes(needed_bytes), format_bytes(free), str(cache_dir))
    return DownloadFailed(f"The disk refused the file: {error.strerror or type(error).__name__}.")


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
