"""Row D of the loads: 64 streams of 30 tokens a second, 16 of their readers slow, through one gateway.

What it costs and how late a token comes is measured by `make bench`; here nothing may be lost, changed or moved.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.process.gateway.raw import CHAT, HELLO
from tests.running import CHAT_MODEL_ID, FAKE_WORKER, running, store_tiny_model

pytestmark = pytest.mark.anyio
STREAMS, SLOW, TOKENS = 64, 16, 60
FLAGS = f"--rate 30 --tokens {TOKENS} --slots {STREAMS}"
SLOW_READ_BYTES = 48
WAIT_S = 60
_OF_ONE_ANSWER = re.compile(rb'"id":"chatcmpl-[0-9a-f]+"|"created":\d+')


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def request(key: str) -> bytes:
    body = json.dumps(HELLO | {"stream": True}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Pace:
    """What slow readers wait for: each event that one of the fast ones got."""

    def __init__(self) -> None:
        self._more = asyncio.Event()
        self.is_over = False

    def step(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def wait(self) -> None:
        if not self.is_over:
            await self._more.wait()


async def read_fast(port: int, key: str, pace: Pace | None = None) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(key))
    seen = b""
    while more := await reader.read(65536):
        seen += more
        if pace is not None:
            pace.step()
    writer.close()
    return seen


async def read_slowly(port: int, key: str, pace: Pace) -> bytes:
    """A few bytes for each event of a fast reader, which is less than comes; the rest when those are done."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, request(key))
    seen = b""
    while more := await loop.sock_recv(sock, 65536 if pace.is_over else SLOW_READ_BYTES):
        seen += more
        await pace.wait()
    sock.close()
    return seen


def events(answer: bytes) -> list[bytes]:
    """The events of a chunked answer, whatever its chunks, without what differs between two answers."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    assert body.endswith(b"\n\n")
    return _OF_ONE_ANSWER.sub(b"", body).split(b"\n\n")[:-1]


def expected() -> list[bytes]:
    """What the worker says of each token, with the null that the published schema wants besides."""
    said = [b'{"role":"assistant","content":""}']
    said += [b'{"content":"%bword%d"}' % (b" " if number else b"", number) for number in range(TOKENS)]
    said += [b"{}"]
    frame = b'"model":"%b","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"'
    chunks = [
        b'data: {"choices":[{"finish_reason":%b,"index":0,"logprobs":null,"delta":%b}],,%b,}'
        % (b'"stop"' if delta == b"{}" else b"null", delta, frame % CHAT_MODEL_ID.encode())
        for delta in said
    ]
    return [*chunks, b"data: [DONE]"]


async def test_row_d_64_streams_16_of_them_read_slowly_come_in_order_and_byte_for_byte(home: Path) -> None:
    store_tiny_model(home, worker_flags=FLAGS)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL=str(STREAMS)) as service:
        started: dict[str, Any] = service.start()
        port, key = started["port"], started["api_key"]
        pace = Pace()
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
            slow = [group.create_task(read_slowly(port, key, pace)) for _ in range(SLOW)]
            async with asyncio.TaskGroup() as others:
                fast = [others.create_task(read_fast(port, key, pace))]
                fast += [others.create_task(read_fast(port, key)) for _ in range(STREAMS - SLOW - 1)]
            assert not any(task.done() for task in slow)
            pace.is_over = True
            pace.step()
        for task in [*fast, *slow]:
            assert events(task.result()) == expected()
