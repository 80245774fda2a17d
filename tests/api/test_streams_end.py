"""A stream's end when the service ends: it is closed, and does not hold the service up."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import httpx

from tests.running import FAKE_WORKER, Service, eventually, running


def _follow(service: Service, path: str, lines: list[str], opened: threading.Event) -> None:
    with httpx.Client(timeout=30) as client, client.stream("GET", service.base + path) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            opened.set()


def test_open_streams_end_with_the_service(home: Path) -> None:
    with running(home, worker=FAKE_WORKER) as service:
        heard: dict[str, list[str]] = {"/events": [], "/logs/stream": []}
        readers = []
        for path, lines in heard.items():
            opened = threading.Event()
            reader = threading.Thread(target=_follow, args=(service, path, lines, opened), daemon=True)
            reader.start()
            assert opened.wait(10)
            readers.append(reader)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0
        for reader in readers:
            eventually("the reader has its end", lambda reader=reader: not reader.is_alive())
    assert any("Shutting down" in line for line in heard["/logs/stream"])
