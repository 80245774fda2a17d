"""The real engine beside programs that compute: its threads are told to sleep instead of spinning."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import eventually, running

pytestmark = pytest.mark.model


@contextmanager
def busy_programs() -> Iterator[None]:
    """One for each core, in sessions of their own."""
    command = [sys.executable, "-c", "while True: pass"]
    burning = [subprocess.Popen(command, start_new_session=True) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="the engine uses libgomp on Linux")
def test_the_engine_notices_that_the_machine_is_busy(home: Path, model_cache: Path) -> None:
    settings = {"FOUNDRYLOCAL_CACHE_DIR": str(model_cache), "FOUNDRYLOCAL_DEFAULT_LOG_LEVEL": "DEBUG"}
    with running(home, **settings) as service, busy_programs():
        service.start()
        is_over = threading.Event()

        def ask() -> None:
            with service.gateway() as gateway:
                while not is_over.is_set():
                    body = {"messages": [{"role": "user", "content": "Count."}], "max_tokens": 8}
                    assert gateway.post("/v1/chat/completions", json=body).status_code == 200

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            (worker,) = service.workers()
            eventually(
                "the engine is told",
                lambda: [
                    line
                    for line in service.get("/logs", params={"count": 1000}).json()
                    if "sleep instead of spinning" in line["message"]
                ],
                60,
            )
            eventually(
                "the idle threads are there", lambda: worker.num_threads() > (os.cpu_count() or 1) + 1, 60
            )
        finally:
            is_over.set()
            asking.join()
