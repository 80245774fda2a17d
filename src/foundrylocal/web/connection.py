"""One HTTP connection: uvicorn's protocol with the limits that a reverse proxy would otherwise provide.

It bounds the size and duration of a request head, keeps its entry in the port's connection table, answers HTTP/1.0
clients without chunks, and takes the host of an absolute request target for the Host.
Invariant: a peer that never finishes its request head costs one small buffer and HEAD_TIMEOUT_S, and no task. An
answer that nobody reads is held for READER_TIMEOUT_S at most.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from foundrylocal.errors import FoundryLocalError, InvalidRequest, RequestHeadTooLarge
from foundrylocal.web.asgi import App, Message, Receive, Scope, Send
from foundrylocal.web.connection_table import ConnectionTable, TooManyConnections
from foundrylocal.web.errors import error_object, status_of
from foundrylocal.web.peer import PEER_EXTENSION, Peer
from foundrylocal.web.slow_reader import READER_TIMEOUT_S, StallWatch

HEAD_LIMIT_BYTES = 16 * 1024
HEAD_TIMEOUT_S = 15.0


class GuardedConnection(HttpToolsProtocol):
    """One connection of a port; `table` is the port's."""

    def __init__(self, *arguments: Any, table: ConnectionTable, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._table = table
        self._head_timer: asyncio.TimerHandle | None = None
        self._is_in_head = True
        self._received_bytes = 0
        self._field_bytes = 0
        self._is_head_too_large = False
        self._is_answering = False
        self._stall_watch: StallWatch | None = None
        self._peer: Peer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = Peer(transport)
        try:
            self._table.admit(self, self.client[0] if self.client else "")
        except TooManyConnections as error:
            self._refuse(error)
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_stall_watch()
        self._table.remove(self)
        super().connection_lost(exc)
        self._peer.lose()

    def evict(self) -> None:
        """Make room for another connection."""
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._peer.fill()
        self._watch_for_stall()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall_watch()
        self._peer.drain()
        if self._peer.unsent_bytes and (self.cycle is None or self.cycle.response_complete):
            self._watch_for_stall()  # what is left of a complete answer: nothing resumes writing after it

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return  # the rest of a refused request
        self._received_bytes += len(data)
        if not self._is_answering:
            self._table.mark_idle(self)  # idle counts from the last byte
        super().data_received(data)
        # The parser reports a header only once it is complete; an endless one is noticed by its bytes alone.
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
        self._apply_absolute_target()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_head = True
        self._received_bytes = 0
        if not self.cycle.response_complete:
            self._is_answering = True
            self._table.mark_busy(self)
        # Reading pauses while a large body waits to be consumed. Once it has arrived nobody would resume it, and
        # without reading the peer's disconnect goes unnoticed; pipelined requests are held back on purpose.
        if not self.pipeline:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        self._peer.may_stall = False
        super().on_response_complete()
        if self._peer.unsent_bytes:
            self._watch_for_stall()
        # A response may end before its request has arrived, and a pipelined request may start now.
        if self.cycle is None or self.cycle.response_complete:
            self._is_answering = False
            self._table.mark_idle(self)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: App) -> None:  # type: ignore[override]
        if cycle.scope["http_version"] == "1.0":
            app = _Unframed(app, cycle, self._peer)
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _apply_absolute_target(self) -> None:
        """The host of `GET http://host/path` takes the place of the Host header (RFC 9112, section 3.2.2)."""
        if self.url[:1] in (b"/", b"*") or sum(name == b"host" for name, _ in self.headers) != 1:
            return  # a missing or duplicate Host is refused later
        authority = self.url.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]
        self.headers[:] = [header for header in self.headers if header[0] != b"host"]
        self.headers.append((b"host", authority))

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not a valid request, in the standard error shape; `msg` is uvicorn's."""
        cycle = self.cycle
        if self.pipeline or (cycle is not None and cycle.response_started and not cycle.response_complete):
            self.transport.abort()  # the client would take an error in mid-answer for a part of it
            return
        error: FoundryLocalError = (
            RequestHeadTooLarge(HEAD_LIMIT_BYTES)
            if self._is_head_too_large
            else InvalidRequest(
                "This is not a valid HTTP request", "The request head does not conform to HTTP/1.1."
            )
        )
        self._refuse(error)

    def _refuse(self, error: FoundryLocalError) -> None:
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
            raise ValueError("the head is too large")  # stops the parser; send_400_response answers

    def _start_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_for_stall(self) -> None:
        if self._stall_watch is None:
            self._stall_watch = StallWatch(
                self._peer, READER_TIMEOUT_S, self.transport.abort, self._is_reader_due
            )

    def _is_reader_due(self) -> bool:
        """Whether the peer has something to read that it may not leave for good."""
        if self._peer.may_stall:
            return False
        cycle = self.cycle
        is_complete = cycle is None or cycle.response_complete
        return self._peer.is_full or (is_complete and self._peer.unsent_bytes > 0)

    def _stop_stall_watch(self) -> None:
        if self._stall_watch is not None:
            self._stall_watch.end()
            self._stall_watch = None

    def _give_up(self) -> None:
        self._head_timer = None
        self.transport.abort()


class _Unframed:
    """An app as HTTP/1.0 clients read it: a body of unknown length is sent as it is and ends with the connection."""

    def __init__(self, app: App, cycle: RequestResponseCycle, peer: Peer) -> None:
        self._app = app
        self._cycle = cycle
        self._peer = peer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_unframed = False

        async def send_unframed(message: Message) -> None:
            nonlocal is_unframed
            if message["type"] == "http.response.start":
                is_unframed = not any(name.lower() == b"content-length" for name, _ in message["headers"])
                if is_unframed:
                    self._cycle.chunked_encoding = False  # uvicorn would choose chunks
                    self._peer.is_chunked = False
            elif is_unframed:
                self._cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, send_unframed)
