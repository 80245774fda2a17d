"""Row 33: an answer that nobody reads is not held for good; both ports use this connection."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from foundrylocal.api.streams import EventStream
from foundrylocal.web import connection
from foundrylocal.web.asgi import Receive, Scope, Send, send_whole
from foundrylocal.web.listener import Listener, bind
from foundrylocal.web.peer import PEER_EXTENSION, Peer

pytestmark = pytest.mark.anyio
BIG = 20 * 1024 * 1024
PIECE = 64 * 1024
SYSTEM_BUFFER = 8 * 1024
# More than the system takes, and too little for the transport to pause the writer.
SMALL = 60_000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READER_TIMEOUT_S", 0.4)


class _App:
    """Answers /plain with a body of `size` bytes, /stream with events for ever."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.peers: list[Peer] = []
        self.lost: list[anyio.Event] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.peers.append(scope["extensions"][PEER_EXTENSION]["peer"])
        self.lost.append(lost := anyio.Event())
        if scope["path"] == "/plain":
            await send_whole(send, 200, bytes(self.size))
            while (await receive())["type"] != "http.disconnect":
                pass
        elif scope["path"] == "/pieces":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(self.size // PIECE):  # each waits for the reader: the answer is never complete
                await send({"type": "http.response.body", "body": bytes(PIECE), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        else:
            await EventStream(_events())(scope, receive, send)
        lost.set()


async def _events() -> AsyncIterator[bytes]:
    while True:
        yield b"data: {}\n\n" * 1000
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def _serving(app: _App) -> AsyncIterator[int]:
    sockets = bind("127.0.0.1", 0)
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SYSTEM_BUFFER)  # its connections inherit it
    listener = Listener(app, sockets)
    async with anyio.create_task_group() as group:
        await group.start(listener.serve)
        yield listener.port
        group.cancel_scope.cancel()


def _request(port: int, path: str) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
    return client


async def _until(check: Callable[[], bool], what: str) -> None:
    with anyio.fail_after(30):
        while not check():
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("path", "size"), [("/plain", BIG), ("/plain", 4_000_000), ("/plain", SMALL), ("/pieces", BIG)]
)
async def test_row_33_a_plain_answer_that_nobody_reads_is_ended(path: str, size: int) -> None:
    app = _App(size)
    async with _serving(app) as port:
        clients = [_request(port, path) for _ in range(10)]
        await _until(lambda: len(app.peers) == 10, "ten requests")
        # It was written whole, so only the connection knows that it is not read.
        await _until(lambda: all(peer._transport.is_closing() for peer in app.peers), "all are ended")
        assert sum(peer.unsent_bytes for peer in app.peers) == 0
        for client in clients:
            client.close()


async def test_row_33_a_reader_that_makes_progress_gets_it_all() -> None:
    app = _App(BIG)
    async with _serving(app) as port:
        client = _request(port, "/plain")
        stalled = _request(port, "/plain")
        client.settimeout(10)
        received = await anyio.to_thread.run_sync(_read_slowly, client, BIG)
        assert received >= BIG
        await _until(lambda: app.peers[1]._transport.is_closing(), "the other is ended")
        assert not app.peers[0]._transport.is_closing()
        client.close()
        stalled.close()


def _read_slowly(client: socket.socket, size: int) -> int:
    received = 0
    while received < size:
        received += len(client.recv(16 * 1024))
    return received


async def test_row_24_a_reader_of_events_may_pause_for_long() -> None:
    app = _App(BIG)
    async with _serving(app) as port:
        paused = _request(port, "/stream")
        await _until(lambda: bool(app.peers) and app.peers[0].is_full, "the reader is behind")
        for _ in range(2):
            # Each of these takes the whole timeout to be ended.
            with _request(port, "/plain"):
                await _until(lambda: app.peers[-1].unsent_bytes > 0, "an answer")
                await _until(lambda: app.peers[-1]._transport.is_closing(), "the end of it")
        assert not app.peers[0]._transport.is_closing()
        paused.close()
