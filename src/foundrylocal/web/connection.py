"""One HTTP connection, guarded: uvicorn's protocol with a limit on the head's size and the time it may take.

Invariant: a peer that never ends its request head costs one small buffer and HEAD_TIMEOUT_S, no task.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from foundrylocal.errors import FoundryLocalError, InvalidRequest, RequestHeadTooLarge
from foundrylocal.web.errors import error_object, status_of

HEAD_LIMIT_BYTES = 16 * 1024
HEAD_TIMEOUT_S = 15.0
PEER_EXTENSION = "foundrylocal.peer"


class Peer:
    """Who sent a request, for the app that answers it: in the scope's extensions under PEER_EXTENSION."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._on_lost: Callable[[], object] | None = None
        self._on_pause: Callable[[], object] | None = None
        self._on_resume: Callable[[], object] | None = None
        self.is_full = False
        self.drains = 0

    def abort(self) -> None:
        """Close the connection without sending what is still to be sent."""
        self._transport.abort()

    def write_chunk(self, body: bytes) -> None:
        """Send more of a body that was begun through ASGI without a length; ASGI ends it, too.

        For what is relayed by the token: it waits for nothing, so its caller heeds `held_back`.
        """
        if self._transport.is_closing():
            self.lose()  # it may take what is left of its answer, but it has left
        else:
            self._transport.write(b"%x\r\n%b\r\n" % (len(body), body))

    @property
    def unsent_bytes(self) -> int:
        """What the system has not taken yet."""
        return self._transport.get_write_buffer_size()

    @contextmanager
    def told_when_lost(self, tell: Callable[[], object]) -> Iterator[None]:
        """Call `tell` once when the connection ends inside the block; it costs no task that waits."""
        if self._transport.is_closing():
            tell()
        self._on_lost = tell
        try:
            yield
        finally:
            self._on_lost = None

    @contextmanager
    def held_back(self, pause: Callable[[], object], resume: Callable[[], object]) -> Iterator[None]:
        """Call `pause` when the peer takes less than is written, `resume` when it has taken most of it."""
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
        """More is unsent than is good."""
        self.is_full = True
        if self._on_pause is not None:
            self._on_pause()

    def drain(self) -> None:
        """Most of what was unsent has been taken."""
        self.is_full = False
        self.drains += 1
        if self._on_resume is not None:
            self._on_resume()


class GuardedConnection(HttpToolsProtocol):
    """What uvicorn leaves to a proxy in front of it: 431 for a large head, the end for a slow one."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_in_head = True
        self._received_bytes = 0
        self._field_bytes = 0
        self._is_head_too_large = False
        self._peer: Peer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = Peer(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)
        self._peer.lose()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._peer.fill()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._peer.drain()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # the rest of what was refused
        self._received_bytes += len(data)
        super().data_received(data)
        # The parser tells of a header line at its end only: of an endless one nothing but these bytes are known.
        if self._is_in_head and self._received_bytes > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self._is_head_too_large = True
            self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._field_bytes = 0
        self._start_timer()
        self.scope["extensions"] = {PEER_EXTENSION: {"peer": self._peer}}

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head = True
        self._received_bytes = 0
        # Reading stops while a large body waits to be taken. When all of it has come nobody asks for more, and
        # without reading nobody would see the peer leave; requests that were sent ahead are held back on purpose.
        if not self.pipeline:
            self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, in the one shape of errors; `msg` is uvicorn's."""
        cycle = self.cycle
        if self.pipeline or (cycle is not None and cycle.response_started and not cycle.response_complete):
            self.transport.abort()  # an error in the middle of an answer would be read as a part of it
            return
        error: FoundryLocalError = (
            RequestHeadTooLarge(HEAD_LIMIT_BYTES)
            if self._is_head_too_large
            else InvalidRequest("This is not a valid HTTP request", "Its head does not follow HTTP/1.1.")
        )
        body = json.dumps({"error": error_object(error)}).encode()
        self.transport.write(
            STATUS_LINE[status_of(error)]
            + b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > HEAD_LIMIT_BYTES:
            self._is_head_too_large = True
            raise ValueError("the head is too large")  # ends the parser's work; send_400_response answers

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.abort()
