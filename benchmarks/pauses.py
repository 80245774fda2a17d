"""The longest pause of the service during other work, not counting pauses of the whole machine.

A bare server beside it, in a process of its own, is asked at the same times. A virtual machine is halted by its
host when it has used up its share of CPU, by 30 ms in every 100 here while a gigabyte is synced to the disk:
then both wait, and that is no pause of the service's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import subprocess
import sys
import threading
import time
from types import TracebackType

from benchmarks.processes import BASE, ROOT, Service

# More frequent probes would take a good part of a machine with two cores.
PROBE_S = 0.010
# A bare server that took longer was not scheduled.
HALT_S = 0.010
Wait = tuple[float, float]


class Pauses:
    """A context; after it `longest_s` is the longest wait for /health, `own_s` the longest that was the service's."""

    def __init__(self, running: Service) -> None:
        self._ports = {running.port: BASE + "/health"}
        self._waits: dict[int, list[Wait]] = {}
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._bare: subprocess.Popen[str]
        self._service_port = running.port

    def __enter__(self) -> Pauses:
        self._bare = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.pauses"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._bare.stdout
        self._ports[int(self._bare.stdout.readline())] = "/"
        for port, path in self._ports.items():
            self._waits[port] = []
            self._threads.append(threading.Thread(target=self._watch, args=(port, path)))
            self._threads[-1].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._bare.kill()
        self._bare.wait()
        assert self._bare.stdout
        self._bare.stdout.close()

    def _watch(self, port: int, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not self._over.wait(PROBE_S):
            began = time.perf_counter()
            connection.request("GET", path)
            connection.getresponse().read()
            self._waits[port].append((began, time.perf_counter()))
        connection.close()

    @property
    def longest_s(self) -> float:
        return max(end - begin for begin, end in self._waits[self._service_port])

    @property
    def own_s(self) -> float:
        """The longest wait without the time in which the bare server did not get to run either."""
        return max(self.own_waits_s)

    @property
    def own_waits_s(self) -> list[float]:
        """Every wait for /health, in the same way."""
        (bare,) = (waits for port, waits in self._waits.items() if port != self._service_port)
        # Counted from the scheduled time: the probe itself may have been halted.
        due = [(last + PROBE_S, over) for (_, last), (_, over) in itertools.pairwise(bare)]
        halts = [(began, over) for began, over in due if over - began > HALT_S]
        return [_less(wait, halts) for wait in self._waits[self._service_port]]


def _less(wait: Wait, halts: list[Wait]) -> float:
    """Probe the bare server one request at a time, so that its waits do not overlap."""
    begin, end = wait
    return end - begin - sum(max(0.0, min(end, over) - max(begin, began)) for began, over in halts)


async def _serve() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
