"""Whether the system ran out of something that comes back by itself: descriptors, processes, buffers."""

from __future__ import annotations

import errno

_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOBUFS})


def is_exhaustion(error: OSError) -> bool:
    """True for errors of want, which say nothing of the file, the port or the program that they befell."""
    # The event loop's own library reports a fork that was refused without its reason.
    return error.errno in _ERRNOS or (error.errno is not None and error.errno not in errno.errorcode)
