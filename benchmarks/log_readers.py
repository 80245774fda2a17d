"""Readers of the log stream in a process of their own: `python -m benchmarks.log_readers PORT FAST STALLED`.

It prints a line when all are connected, reads until its stdin ends, and prints what the fast ones got as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import sys

from benchmarks.processes import BASE

_NUMBER = re.compile(rb"^id: (\d+)$", re.MULTILINE)
_REQUEST = f"GET {BASE}/logs/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


class Reader:
    """One fast reader: how many lines it got, and how many it missed without a notice."""

    def __init__(self) -> None:
        self.lines = 0
        self.missed = 0
        self.notices = 0
        self._last: int | None = None
        self._rest = b""

    async def read(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_REQUEST)
        while data := await reader.read(256 * 1024):
            text, _, self._rest = (self._rest + data).rpartition(b"\n\n")
            self.notices += text.count(b"log lines were dropped")
            for number in map(int, _NUMBER.findall(text)):
                if self._last is not None and number != self._last + 1:
                    self.missed += number - self._last - 1
                self._last = number
                self.lines += 1


def _stall(port: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(_REQUEST)
    return client


async def _main(port: int, fast: int, stalled: int) -> None:
    stopped = [_stall(port) for _ in range(stalled)]
    readers = [Reader() for _ in range(fast)]
    tasks = [asyncio.create_task(reader.read(port)) for reader in readers]
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    result = {
        "fewest_lines": min(reader.lines for reader in readers),
        "missed": sum(reader.missed for reader in readers),
        "notices": sum(reader.notices for reader in readers),
    }
    print(json.dumps(result), flush=True)
    for client in stopped:
        client.close()


if __name__ == "__main__":
    asyncio.run(_main(*map(int, sys.argv[1:4])))
