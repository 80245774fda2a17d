"""Row 29: connections are bounded by port and by peer, and the service keeps descriptors for itself."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.process.gateway.raw import CHAT, HELLO
from tests.running import FAKE_WORKER, Service, eventually, running, store_tiny_model

pytestmark = pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
LIMIT = 256


@pytest.fixture
def small_service(home: Path) -> Iterator[Service]:
    """A service that may have LIMIT descriptors."""
    store_tiny_model(home, worker_flags="--rate 50 --tokens 5000")
    with running(home, worker=FAKE_WORKER, prefix=["prlimit", f"--nofile={LIMIT}:{LIMIT}"]) as service:
        yield service


@contextlib.contextmanager
def idle_connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(count)]


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_row_29_idle_connections_on_both_ports_take_no_descriptor_that_the_service_needs(
    small_service: Service,
) -> None:
    started = small_service.start()
    (worker,) = small_service.workers()
    with (
        idle_connections(small_service.port, LIMIT) as ours,
        idle_connections(started["port"], LIMIT) as theirs,
    ):
        for connections in (ours, theirs):
            eventually("the oldest were closed", lambda found=connections: is_closed(found[0]))
            assert not is_closed(connections[-1])
        assert psutil.Process(small_service.process.pid).num_fds() < LIMIT - 32
        # Everything that takes descriptors still works, and nothing is held against the worker.
        with small_service.gateway() as client:
            assert client.post(CHAT, json=HELLO | {"max_tokens": 3}).status_code == 200
        assert small_service.get("/health").json()["status"] == "healthy"
        small_service.post("/stop")
        small_service.start()
        eventually("healthy", lambda: small_service.get("/health").json()["foundry_local"]["is_healthy"])
    assert worker.pid not in [one.pid for one in small_service.workers()]


def test_a_connection_that_is_being_answered_is_not_closed_for_others(small_service: Service) -> None:
    started = small_service.start()
    with (
        small_service.gateway() as client,
        client.stream("POST", CHAT, json=HELLO | {"stream": True}) as answer,
    ):
        lines = answer.iter_lines()
        next(lines)
        with idle_connections(started["port"], LIMIT):
            for _ in range(10):
                assert next(lines) is not None
