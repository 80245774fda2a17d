"""Whether the system ran out of something that comes back by itself: descriptors, processes, buffers."""

from __future__ import annotations

import errno
import os

_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOBUFS})

SPAWN_DESCRIPTORS = 16


def is_exhaustion(error: OSError) -> bool:
    """True for errors of want, which say nothing of the file, the port or the program that they befell."""
    # The event loop's own library reports a fork that was refused without its reason.
    return error.errno in _ERRNOS or (error.errno is not None and error.errno not in errno.errorcode)


def require_room_for_process() -> None:
    """Raise OSError unless as many descriptors can be had as starting a process takes.

    The event loop's own library loses those of a spawn that fails half-way, so it must not begin.
    """
    taken: list[int] = []
    try:
        while len(taken) < SPAWN_DESCRIPTORS:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for one in taken:
            os.close(one)
