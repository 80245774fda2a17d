"""Ends the work for a client that stops reading its answer, whatever sends that answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from foundrylocal.web.peer import Peer
from foundrylocal.web.slow_reader import READER_TIMEOUT_S, StallWatch

__all__ = ["READER_TIMEOUT_S", "ClientStalled", "given_up_when_stalled"]


class ClientStalled(Exception):
    """The client read nothing for the reader's timeout."""


@contextmanager
def given_up_when_stalled(peer: Peer, timeout_s: float) -> Iterator[None]:
    """Run the block; raises ClientStalled when the peer has something to read and reads none of it for so long.

    A timer beside the work and not a limit on each message, which would cost more than the message.
    """
    has_stalled = False
    with anyio.CancelScope() as scope:

        def give_up() -> None:
            nonlocal has_stalled
            has_stalled = True
            scope.cancel()

        watch = StallWatch(peer, timeout_s, give_up)
        try:
            yield
        finally:
            watch.end()
    if has_stalled:
        raise ClientStalled
