"""Disk space on a node: checked before a fetch, and made by removing models that the cluster fetched before.

Invariant: only a model that the cluster itself fetched onto this node is removed, never one that is in use.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from foundrylocal.catalog.library import Library
from foundrylocal.downloads.space import RESERVE_BYTES, free_bytes
from foundrylocal.engine.ray.model_locks import FOLDER, ModelLock, file_stem
from foundrylocal.errors import FoundryLocalError, InsufficientDiskSpace
from foundrylocal.kit.sizes import format_bytes

log = logging.getLogger("foundrylocal.FoundryLocalService")

_SUFFIX = ".fetched"


def note_use(cache_dir: Path, model_id: str, *, is_fetched: bool) -> None:
    """The model is used now; `is_fetched` says that the cluster brought it here. Raises OSError."""
    mark = cache_dir / FOLDER / (file_stem(model_id) + _SUFFIX)
    if is_fetched:
        mark.write_text(model_id, "utf-8")
    elif mark.exists():
        mark.touch()


def make_space(library: Library, needed_bytes: int, reserve_bytes: int = RESERVE_BYTES) -> None:
    """See that so much can be written; the models unused for longest leave for it. Raises InsufficientDiskSpace."""
    wanted = needed_bytes + reserve_bytes
    for mark in _oldest_first(library.cache_dir):
        if free_bytes(library.cache_dir) >= wanted:
            return
        _remove(library, mark)
    free = free_bytes(library.cache_dir)
    if free < wanted:
        raise InsufficientDiskSpace(format_bytes(wanted), format_bytes(free), str(library.cache_dir))


def _oldest_first(cache_dir: Path) -> list[Path]:
    found = []
    for mark in (cache_dir / FOLDER).glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            found.append((mark.stat().st_mtime, mark))
    return [mark for _, mark in sorted(found)]


def _remove(library: Library, mark: Path) -> None:
    try:
        model_id = mark.read_text("utf-8")
        with ModelLock(library.cache_dir, model_id) as lock:
            if not lock.try_hold_alone():
                return  # a replica here runs it
            with contextlib.suppress(FoundryLocalError):
                freed = library.delete(model_id)
                log.info("Removed model %s from this node (%s) to make space", model_id, format_bytes(freed))
            mark.unlink(missing_ok=True)
    except OSError as error:
        log.warning("A model that is no longer used could not be removed: %s", error.strerror)
