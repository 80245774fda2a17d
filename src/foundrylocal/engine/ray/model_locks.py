"""Locks on a node's models, among the actors of one machine: a model is fetched once, and not removed while in use.

Invariant: the system releases a lock when its process ends, however that ends.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from foundrylocal.catalog import names

POLL_S = 0.1
FOLDER = "node-models"
_IS_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class ModelLock:
    """The lock of one model on this machine, not held yet. Every call blocks on the disk and may raise OSError."""

    def __init__(self, cache_dir: Path, model_id: str) -> None:
        folder = cache_dir / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(
            folder / f"{file_stem(model_id)}.lock",
            os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0),
            0o600,
        )

    def __enter__(self) -> ModelLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hold_alone(self, keep_waiting: Callable[[], None]) -> None:
        """Hold it alone; `keep_waiting` is called while others hold it, and may raise. A shared hold is given up."""
        self._wait(is_shared=False, keep_waiting=keep_waiting)

    def share(self, keep_waiting: Callable[[], None]) -> None:
        """Hold it together with others that share it; `keep_waiting` is called while somebody holds it alone."""
        self._wait(is_shared=True, keep_waiting=keep_waiting)

    def try_hold_alone(self) -> bool:
        """Hold it alone if nobody else holds it."""
        return self._try(is_shared=False)

    def close(self) -> None:
        """Release it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wait(self, *, is_shared: bool, keep_waiting: Callable[[], None]) -> None:
        while not self._try(is_shared=is_shared):
            keep_waiting()
            time.sleep(POLL_S)

    def _try(self, *, is_shared: bool) -> bool:
        """Take the lock or change how it is held; a change that fails leaves it released (flock)."""
        if sys.platform == "win32":
            return True
        import fcntl

        kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _IS_HELD:
                return False
            raise
        return True


def file_stem(model_id: str) -> str:
    """What the files about a model are named after."""
    organization, name = names.folder_parts(model_id)
    return f"{organization}--{name}"
