"""The process's budget of file descriptors: how many there are, and how many connections may use.

Invariant: connections never use the reserve, so the service can always open files and start workers.
"""

from __future__ import annotations

import contextlib
import sys

WANTED_DESCRIPTORS = 8192
RESERVED_DESCRIPTORS = 128
MIN_CONNECTIONS = 16
_DEFAULT_LIMIT = 1024


def raise_descriptor_limit() -> None:
    """Raise the soft limit towards WANTED_DESCRIPTORS, as far as the system allows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(WANTED_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a limit that is kept is no reason not to start
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections(share: float) -> int:
    """How many connections a port may have that gets this share of the descriptors beyond the reserve."""
    return max(MIN_CONNECTIONS, int((_limit() - RESERVED_DESCRIPTORS) * share))


def _limit() -> int:
    if sys.platform == "win32":
        return _DEFAULT_LIMIT
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WANTED_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, WANTED_DESCRIPTORS)
