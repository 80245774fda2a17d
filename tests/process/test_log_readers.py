"""Row 18 with a real service: readers of the log, some of them stalled, and a burst of an engine's lines."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

from tests.running import BASE_PATH, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

FAST, STALLED, BURST = 10, 4, 4_000
_REQUEST = f"GET {BASE_PATH}/logs/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
_NUMBER = re.compile(rb"^id: (\d+)$", re.MULTILINE)


async def _read_until(port: int, connected: asyncio.Queue[None], last_line: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_REQUEST)
    seen = await reader.readuntil(b": connected\n\n")
    connected.put_nowait(None)
    while last_line not in seen:
        data = await reader.read(65536)
        assert data
        seen += data
    writer.close()
    return seen


async def _read_all(service: Service) -> list[bytes]:
    connected: asyncio.Queue[None] = asyncio.Queue()
    last = b"load_model: line %d" % (BURST - 1)
    readers = [asyncio.create_task(_read_until(service.port, connected, last)) for _ in range(FAST)]
    for _ in readers:
        await connected.get()
    start = asyncio.create_task(asyncio.to_thread(service.start, CHAT_MODEL))
    async with asyncio.timeout(60):
        seen = await asyncio.gather(*readers)
        await start
    return list(seen)


def test_row_18_a_burst_of_the_engine_reaches_every_reader_and_harms_no_worker(home: Path) -> None:
    store_tiny_model(home, worker_flags=f"--log-lines {BURST}")
    with running(home, worker=FAKE_WORKER) as service:
        stalled = [socket.socket() for _ in range(STALLED)]
        for one in stalled:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", service.port))
            one.sendall(_REQUEST)
        for seen in asyncio.run(_read_all(service)):
            numbers = [int(number) for number in _NUMBER.findall(seen)]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert len(re.findall(rb"load_model: line \d+", seen)) == BURST
            assert b"were dropped" not in seen
        assert service.status()["status"] == "running"
        assert service.get("/health").json()["foundry_local"]["is_healthy"] is True
        for one in stalled:
            one.close()
