"""Load and leaks: aborted streams, idle connections, start-stop cycles, with the bounds in the reliability plan."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import BASE, ROOT, Service, service
from benchmarks.report import Figure
from tests.running import CHAT_MODEL, store_tiny_model

FAKE_WORKER = f"{sys.executable} {ROOT / 'tests' / 'fakes' / 'worker.py'}"
ABORTS = 5_000
IDLE_CONNECTIONS = 500
CYCLES = 2_000
WARM_UP_CYCLES = 50
HEALTH_LIMIT_S = 0.25
MAX_EXTRA_DESCRIPTORS = 2
MAX_EXTRA_THREADS = 2
MAX_EXTRA_MB = 20.0
_ABORT_AFTER_BYTES = 300


class HealthProbe(threading.Thread):
    """Asks for the health twenty times a second, on connections of its own, and keeps the longest wait."""

    def __init__(self, port: int, path: str = f"{BASE}/health") -> None:
        super().__init__(daemon=True)
        self._port = port
        self._path = path
        self._is_over = threading.Event()
        self.worst_s = 0.0
        self.failures = 0

    def run(self) -> None:
        while not self._is_over.wait(0.05):
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request("GET", self._path)
                self.failures += connection.getresponse().status != 200
            except OSError:
                self.failures += 1
            finally:
                connection.close()
            self.worst_s = max(self.worst_s, time.monotonic() - began)

    def __enter__(self) -> HealthProbe:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join(60)


@dataclass(frozen=True)
class Usage:
    """What the service holds at one moment."""

    descriptors: int
    threads: int
    private_mb: float

    @classmethod
    def of(cls, running: Service) -> Usage:
        process = running.process
        memory = process.memory_full_info().uss / 1024**2
        return cls(process.num_fds(), process.num_threads(), memory)


def abort_streams(port: int, path: str, count: int) -> None:
    """Open an event stream, read its beginning, and reset the connection, `count` times."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            connection.sendall(request)
            connection.recv(_ABORT_AFTER_BYTES)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def idle_connections(port: int, count: int) -> Iterator[None]:
    """Connections that never send anything; the service may close the oldest."""
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        yield


def cycle(running: Service, count: int) -> None:
    """Start and stop the server, `count` times."""
    for _ in range(count):
        running.call("POST", "/start", {"model_name": CHAT_MODEL, "port": 0})
        running.call("POST", "/stop")


@contextlib.contextmanager
def loaded_service(home: Path) -> Iterator[Service]:
    """A service with the fake worker and a tiny model on disk."""
    store_tiny_model(home)
    settings = {"FOUNDRYLOCAL_WORKER_COMMAND": FAKE_WORKER, "FOUNDRYLOCAL_CACHE_DIR": str(home / "cache")}
    with service(home, settings) as running:
        yield running


def connection_figures(folder: Path) -> list[Figure]:
    """The longest wait for the health under aborted streams and under idle connections."""
    with loaded_service(folder / "connections-home") as running:
        with HealthProbe(running.port) as aborts:
            abort_streams(running.port, f"{BASE}/events", ABORTS)
        with HealthProbe(running.port) as idle, idle_connections(running.port, IDLE_CONNECTIONS):
            time.sleep(3.0)
    return [
        health_figure(f"{ABORTS} aborted streams", aborts),
        health_figure(f"{IDLE_CONNECTIONS} idle connections", idle),
    ]


def cycle_figures(folder: Path, count: int = CYCLES) -> list[Figure]:
    """What start-stop cycles leave in the service."""
    with loaded_service(folder / "cycles-home") as running:
        cycle(running, WARM_UP_CYCLES)
        before = Usage.of(running)
        cycle(running, count)
        after = Usage.of(running)
    name = f"{count} start-stop cycles: "
    return [
        _growth(name + "descriptors", before.descriptors, after.descriptors, MAX_EXTRA_DESCRIPTORS),
        _growth(name + "threads", before.threads, after.threads, MAX_EXTRA_THREADS),
        _growth(name + "private memory MB", before.private_mb, after.private_mb, MAX_EXTRA_MB),
    ]


def health_figure(name: str, probe: HealthProbe) -> Figure:
    """The longest wait of a probe, against the bound of the reliability plan."""
    return Figure(
        f"worst /health s, {name}",
        f"{probe.worst_s:.3f}",
        target=f"<= {HEALTH_LIMIT_S} s, none fails",
        is_ok=probe.worst_s <= HEALTH_LIMIT_S and not probe.failures,
    )


def _growth(name: str, before: float, after: float, limit: float) -> Figure:
    return Figure(
        name,
        f"{after:.1f}",
        f"before {before:.1f}",
        target=f"at most {limit:g} more",
        is_ok=after - before <= limit,
    )
