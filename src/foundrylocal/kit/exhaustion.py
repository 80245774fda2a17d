"""Whether the system is temporarily out of a resource: descriptors, processes, buffers."""

from __future__ import annotations

import errno
import os

_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOBUFS})

# EAGAIN is not among them: to a UNIX socket it means that the other side does not accept.
CONNECT_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

SPAWN_DESCRIPTORS = 16


def is_exhaustion(error: OSError) -> bool:
    """True for a shortage, which says nothing about the file, port or program that the call was for."""
    # uvloop reports a refused fork without a known errno.
    return error.errno in _ERRNOS or (error.errno is not None and error.errno not in errno.errorcode)


def require_room_for_process() -> None:
    """Raise OSError unless there are enough free descriptors to start a process.

    uvloop leaks the descriptors of a spawn that fails half-way, so such a spawn must not begin.
    """
    taken: list[int] = []
    try:
        while len(taken) < SPAWN_DESCRIPTORS:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for one in taken:
            os.close(one)
