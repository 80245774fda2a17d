"""Notices a peer that reads nothing of what is waiting for it, on both ports.

Invariant: a watch costs one timer and no task, and calls back once at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

READER_TIMEOUT_S = 60.0
_CHECKS_PER_TIMEOUT = 4


class Writable(Protocol):
    """What of a connection is watched."""

    drains: int
    is_full: bool

    @property
    def unsent_bytes(self) -> int: ...


class StallWatch:
    """Calls `on_stall` when the peer has had something to read for `timeout_s` and read none of it.

    `is_waiting` says whether unsent bytes count at this moment; by default while the peer is full.
    """

    def __init__(
        self,
        peer: Writable,
        timeout_s: float,
        on_stall: Callable[[], object],
        is_waiting: Callable[[], bool] | None = None,
    ) -> None:
        self._peer = peer
        self._timeout_s = timeout_s
        self._on_stall = on_stall
        self._is_waiting = is_waiting or (lambda: peer.is_full)
        self._loop = asyncio.get_running_loop()
        self._seen = (0, 0)
        self._since_s = 0.0
        self._look()

    def _look(self) -> None:
        now_s = self._loop.time()
        # Nothing is written to a peer that is full: until it has drained, unsent bytes can only become fewer.
        seen = (self._peer.drains, self._peer.unsent_bytes)
        if not self._is_waiting() or seen != self._seen:
            self._seen, self._since_s = seen, now_s
        elif now_s - self._since_s >= self._timeout_s:
            self._on_stall()
            return
        self._timer = self._loop.call_later(self._timeout_s / _CHECKS_PER_TIMEOUT, self._look)

    def end(self) -> None:
        self._timer.cancel()
