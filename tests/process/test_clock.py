"""Row 27: the wall clock moved by a day, forth and back, while the service runs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.process.gateway.raw import CHAT, HELLO
from tests.running import FAKE_WORKER, Service, eventually, running, store_tiny_model

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
DAY_S = 86_400
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime (scripts/install-test-tools)")
Move = Callable[[int], None]


@pytest.fixture
def moved(home: Path, tmp_path: Path) -> Iterator[tuple[Service, Move]]:
    """A service whose wall clock is off by as many seconds as `move` says; its monotonic clock is not."""
    store_tiny_model(home)
    offset = tmp_path / "offset"

    def move(seconds: int) -> None:
        new = offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(offset)

    move(0)
    faked = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    settings = {"FOUNDRYLOCAL_RESTART_DELAYS_SECONDS": "0.5, 0.5"}
    with running(home, worker=FAKE_WORKER, **faked, **settings) as service:
        yield service, move


def now_of(service: Service) -> float:
    written = service.get("/health").json()["timestamp"]
    return datetime.fromisoformat(written).timestamp()


@pytest.mark.parametrize("seconds", [DAY_S, -DAY_S])
def test_row_27_a_clock_that_moves_by_a_day_changes_no_deadline(
    moved: tuple[Service, Move], seconds: int
) -> None:
    service, move = moved
    service.start()
    eventually("healthy", lambda: service.get("/health").json()["foundry_local"]["is_healthy"])
    (worker,) = service.workers()
    move(seconds)
    eventually("the clock has moved", lambda: abs(now_of(service) - time.time() - seconds) < 60)
    # Nothing timed out: the same worker answers, the server is healthy, a chat works.
    assert service.get("/health").json()["foundry_local"]["is_healthy"]
    assert [one.pid for one in service.workers()] == [worker.pid]
    with service.gateway() as client:
        assert client.post(CHAT, json=HELLO | {"max_tokens": 2}).status_code == 200
        # The delay before a restart is half a second, not a day and not none.
        os.kill(worker.pid, signal.SIGKILL)
        # The dead worker is listed until it is reaped, and healthy until it is missed.
        eventually("started again", lambda: {one.pid for one in service.workers()} - {worker.pid}, 20)
        eventually("loaded again", lambda: service.status()["loaded_model_id"] is not None, 20)
        eventually("healthy", lambda: service.get("/health").json()["foundry_local"]["is_healthy"], 20)
        move(0)
        eventually("the clock is back", lambda: abs(now_of(service) - time.time()) < 60)
        assert client.post(CHAT, json=HELLO | {"max_tokens": 2}).status_code == 200
    assert service.status()["uptime_seconds"] < 300
    service.post("/stop")
    service.start(options={"timeout_seconds": 30})
