"""The client at the other end of a connection, for the app that answers its request past ASGI.

Invariant: it only reports what the transport reports; it owns no task and no buffer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PEER_EXTENSION = "foundrylocal.peer"


class Peer:
    """The client of a request, for the app that answers it: in the scope's extensions under PEER_EXTENSION."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._on_lost: Callable[[], object] | None = None
        self._on_pause: Callable[[], object] | None = None
        self._on_resume: Callable[[], object] | None = None
        self.is_chunked = True
        self.is_full = False
        self.drains = 0
        self.may_stall = False
        """Set by a stream whose reader may pause: what it misses is dropped and not held for it."""

    def abort(self) -> None:
        """Close the connection and discard what has not been sent yet."""
        self._transport.abort()

    def write_chunk(self, body: bytes) -> None:
        """Send part of a body that was started through ASGI without a length; it must also be ended through ASGI.

        For bodies relayed token by token: this never waits, so the caller must respect `flow_control`.
        """
        if self._transport.is_closing():
            self.lose()  # the peer has left, even if it may still read what was sent
        elif self.is_chunked:
            self._transport.write(b"%x\r\n%b\r\n" % (len(body), body))
        else:
            self._transport.write(body)

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the operating system has not accepted yet."""
        return self._transport.get_write_buffer_size()

    @contextmanager
    def on_disconnect(self, tell: Callable[[], object]) -> Iterator[None]:
        """Call `tell` once if the connection ends inside the block; no task has to wait for it."""
        if self._transport.is_closing():
            tell()
        self._on_lost = tell
        try:
            yield
        finally:
            self._on_lost = None

    @contextmanager
    def flow_control(self, pause: Callable[[], object], resume: Callable[[], object]) -> Iterator[None]:
        """Call `pause` when the peer reads more slowly than we write, and `resume` when it has caught up."""
        self._on_pause, self._on_resume = pause, resume
        if self.is_full:
            pause()
        try:
            yield
        finally:
            self._on_pause = self._on_resume = None

    def lose(self) -> None:
        """The connection has ended, or is ending."""
        tell, self._on_lost = self._on_lost, None
        if tell is not None:
            tell()

    def fill(self) -> None:
        """The write buffer is over its high-water mark."""
        self.is_full = True
        if self._on_pause is not None:
            self._on_pause()

    def drain(self) -> None:
        """The write buffer is below its low-water mark again."""
        self.is_full = False
        self.drains += 1
        if self._on_resume is not None:
            self._on_resume()
