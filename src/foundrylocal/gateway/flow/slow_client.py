"""A client that takes nothing for long: noticed while its answer is sent, whatever sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from foundrylocal.web.connection import Peer

READER_TIMEOUT_S = 60.0
_CHECKS_A_TIMEOUT = 4


class ClientStalled(Exception):
    """The client took nothing for the reader's timeout."""


@contextmanager
def given_up_when_stalled(peer: Peer, timeout_s: float) -> Iterator[None]:
    """Do what is in the block; raises ClientStalled when the peer had something to take and took none of it so long.

    A timer beside the work and not a limit on each message: that would cost more than the message.
    """
    with anyio.CancelScope() as scope:
        watch = _Watch(peer, timeout_s, scope)
        try:
            yield
        finally:
            watch.end()
    if watch.has_stalled:
        raise ClientStalled


class _Watch:
    def __init__(self, peer: Peer, timeout_s: float, scope: anyio.CancelScope) -> None:
        self._peer = peer
        self._timeout_s = timeout_s
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._seen = (0, 0)
        self._since_s = 0.0
        self.has_stalled = False
        self._look()

    def _look(self) -> None:
        now_s = self._loop.time()
        # Nothing is written to a peer that is full: until it has drained, what is unsent can only become less.
        seen = (self._peer.drains, self._peer.unsent_bytes)
        if not self._peer.is_full or seen != self._seen:
            self._seen, self._since_s = seen, now_s
        elif now_s - self._since_s >= self._timeout_s:
            self.has_stalled = True
            self._scope.cancel()
            return
        self._timer = self._loop.call_later(self._timeout_s / _CHECKS_A_TIMEOUT, self._look)

    def end(self) -> None:
        self._timer.cancel()
