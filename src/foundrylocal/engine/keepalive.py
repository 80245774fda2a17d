"""Notices a peer that went silent: a lost machine closes no connection, so that its requests would hang for ever.

Invariant: a connection to a peer that is gone ends at most KEEPALIVE_IDLE_S + KEEPALIVE_INTERVAL_S *
KEEPALIVE_PROBES seconds after it went silent, or UNACKNOWLEDGED_S after the first bytes that it did not acknowledge.
A live peer is never cut off, however long it computes: its system answers the probes.
"""

from __future__ import annotations

import contextlib
import socket

KEEPALIVE_IDLE_S = 5
KEEPALIVE_INTERVAL_S = 2
KEEPALIVE_PROBES = 3
UNACKNOWLEDGED_S = 10

# By the names that the systems give them; what a system lacks is left out.
_TCP_OPTIONS = {
    "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
    "TCP_KEEPALIVE": KEEPALIVE_IDLE_S,  # macOS
    "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_S,
    "TCP_KEEPCNT": KEEPALIVE_PROBES,
    "TCP_USER_TIMEOUT": UNACKNOWLEDGED_S * 1000,
}


def keep_watch(connection: socket.socket | None) -> None:
    """Have the system probe the peer of a TCP connection."""
    if connection is None:
        return
    with contextlib.suppress(OSError):  # then it ends by the time limits of its request alone
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _TCP_OPTIONS.items():
            option = getattr(socket, name, None)
            if option is not None:
                connection.setsockopt(socket.IPPROTO_TCP, option, value)
