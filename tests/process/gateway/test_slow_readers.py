"""Row 24: a client that takes nothing does not hold a slot; the limit is a parameter, so that a test can wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.engine.client import ask as ask_worker
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.llama_cpp.engine import BuiltInEngine
from foundrylocal.engine.local.launcher import LocalLauncher
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.errors import WorkerCrashed
from foundrylocal.gateway.flow.relay import relay
from foundrylocal.gateway.flow.slow_client import ClientStalled
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.web.asgi import Receive, Scope, Send
from foundrylocal.web.listener import Listener, bind
from foundrylocal.web.peer import PEER_EXTENSION, Peer
from foundrylocal.wire.load_options import EffectiveOptions
from tests.running import FAKE_WORKER
from tests.unit.gateway.dialects.all_routes import ROUTES

pytestmark = pytest.mark.anyio
READER_TIMEOUT_S = 1.0
BODY = b'{"messages":[{"role":"user","content":"Hi"}],"stream":true}'
REQUEST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def fake_worker(folder: Path, *flags: str) -> AsyncIterator[Address]:
    spec = ReplicaSpec(
        "one", "some/model", folder / "x.gguf", None, 1, 1, EffectiveOptions(context_size=4096, parallel=1)
    )
    launcher = LocalLauncher(folder, Engines(BuiltInEngine([*FAKE_WORKER, *flags])))
    async with anyio.create_task_group() as group:
        await group.start(launcher.run)
        await launcher.launch(spec)
        yield await launcher.wait_ready(spec.id, 20)
        await launcher.close()
        group.cancel_scope.cancel()


async def _why_gone(has_begun: bool) -> Exception:
    return WorkerCrashed("It is gone.")


class Relaying:
    """An ASGI app that relays one stream, and what became of it."""

    def __init__(self, endpoint: Address) -> None:
        self.endpoint = endpoint
        self.ended = anyio.Event()
        self.failure: Exception | None = None
        self.stats = RequestStats("/x", anyio.current_time())
        self.peer: Peer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chat = ROUTES["/v1/chat/completions"]
        peer = scope["extensions"][PEER_EXTENSION]["peer"]
        self.peer = peer
        request = InferenceRequest(chat, *chat.dialect.prepare(BODY), "client", self.stats, send, peer)
        try:
            await relay(self.endpoint, request, _why_gone, READER_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            self.failure = error
        self.ended.set()


async def ask(endpoint: Address, path: str) -> Any:
    async with ask_worker(endpoint, path) as answer:
        return json.loads(await answer.read())


@asynccontextmanager
async def relaying(endpoint: Address) -> AsyncIterator[tuple[Relaying, anyio.abc.SocketStream]]:
    app = Relaying(endpoint)
    listener = Listener(app, bind("127.0.0.1", 0))
    async with anyio.create_task_group() as group:
        await group.start(listener.serve)
        async with await anyio.connect_tcp("127.0.0.1", listener.port) as client:
            yield app, client
        group.cancel_scope.cancel()


async def test_row_24_a_reader_that_stops_is_given_up(tmp_path: Path) -> None:
    async with (
        fake_worker(tmp_path, "--tokens", "1000000") as endpoint,
        relaying(endpoint) as (app, client),
    ):
        await client.send(REQUEST)
        await client.receive(100)
        with anyio.fail_after(30):
            await app.ended.wait()
            while any(slot["is_processing"] for slot in await ask(endpoint, "/slots")):
                await anyio.lowlevel.checkpoint()
        assert isinstance(app.failure, ClientStalled)
        # The worker was held back: what it wrote in that second did not gather here.
        assert app.peer.unsent_bytes < 1024 * 1024


async def test_row_24_a_stream_with_pauses_of_the_worker_is_not_given_up(tmp_path: Path) -> None:
    async with (
        fake_worker(tmp_path, "--tokens", "3", "--rate", "0.7") as endpoint,
        relaying(endpoint) as (app, client),
    ):
        await client.send(REQUEST)
        seen = b""
        with anyio.fail_after(30):
            while b"[DONE]" not in seen:
                seen += await client.receive()
            await app.ended.wait()
        assert app.failure is None


async def test_a_slow_reader_gets_every_byte_in_order(tmp_path: Path) -> None:
    async with fake_worker(tmp_path, "--tokens", "3000") as endpoint, relaying(endpoint) as (app, client):
        await client.send(REQUEST)
        seen = b""
        with anyio.fail_after(60):
            while b"[DONE]" not in seen:
                seen += await client.receive(4096)
                await anyio.lowlevel.checkpoint()
        order = [
            seen.index(b'"content":"%bword%d"' % (b" " if number else b"", number)) for number in range(3000)
        ]
        assert order == sorted(order)
        assert app.stats.tokens_out is None  # plain streams tell of counts only when asked


async def test_row_23_a_chunk_for_a_client_that_is_leaving_ends_its_answer() -> None:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(asyncio.Protocol, "127.0.0.1", 0) as server:
        transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
        peer = Peer(transport)
        lost: list[None] = []
        with peer.on_disconnect(lambda: lost.append(None)):
            peer.write_chunk(b"one")
            assert not lost
            transport.close()  # it has yet to send what it has
            peer.write_chunk(b"two")
            peer.write_chunk(b"three")
            assert len(lost) == 1
