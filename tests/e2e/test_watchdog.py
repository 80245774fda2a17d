"""The watchdog with the real engine: what it reads in `/slots`, and a long prompt on a core that is busy."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from foundrylocal.engine.slots import Slot, decode_slots
from tests.process.gateway.raw import raw
from tests.running import Service, eventually, running

pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(200),
    pytest.mark.skipif(sys.platform != "linux", reason="binds processes to one core, and asks a UNIX socket"),
]
ONE_CORE = ["taskset", "-c", "0"]
PROMPT_TOKENS = 8000
# Longer than a request may stand still before any speed is known.
WATCHED_S = 50.0


@contextmanager
def busy_core() -> Iterator[None]:
    """Another process that takes what it can of the same core."""
    process = subprocess.Popen([*ONE_CORE, sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def slots_of(service: Service) -> list[Slot]:
    """What the engine itself reports of its slots that work."""
    folder = service.run_folder()
    assert folder is not None
    (socket,) = folder.glob("*.sock")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=60) as engine:
        slots = decode_slots(engine.get("http://worker/slots").content)
    return [slot for slot in slots if slot.is_processing]


def test_a_prompt_of_8000_tokens_on_one_busy_core_is_not_taken_for_a_stuck_engine(
    home: Path, model_cache: Path
) -> None:
    with (
        running(home, prefix=ONE_CORE, FOUNDRYLOCAL_CACHE_DIR=str(model_cache)) as service,
        busy_core(),
    ):
        started = service.start(options={"context_size": 10_000, "threads": 1, "timeout_seconds": 120})
        prompt = "word " * PROMPT_TOKENS
        with raw(started).post({"messages": [{"role": "user", "content": prompt}], "stream": True}).socket:
            slots = eventually("the engine works on it", lambda: slots_of(service), 60)
            # The engine repeats the tag and counts its work: without that the watchdog sees nothing.
            assert slots[0].tag > 0
            ends = time.monotonic() + WATCHED_S
            pause = threading.Event()
            read = 0
            while time.monotonic() < ends:
                pause.wait(2)
                slots = slots_of(service)
                assert slots, "the request was ended"
                read = slots[0].n_prompt_tokens_processed or 0
            assert read > 0
        lines = [entry["message"] for entry in service.get("/logs?count=1000").json()]
        assert not any("made no progress" in line for line in lines)
