"""How long `/health` waits on both ports while requests are checked that are hard to check (row 28)."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.load_figures import HealthProbe, health_figure, loaded_service
from benchmarks.report import Figure
from tests.hostile_bodies import BODIES
from tests.running import CHAT_MODEL

CLIENTS = 3
# A body that is refused at once is sent again, so that the health is asked often enough beside it.
SEND_S = 2.0
TIMEOUT_S = 120.0


def hostile_figures(folder: Path) -> list[Figure]:
    """The longest wait of each port, for each body sent by several clients at once."""
    figures: list[Figure] = []
    with loaded_service(folder / "hostile-home") as running:
        started = running.call("POST", "/start", {"model_name": CHAT_MODEL, "port": 0})
        port, key = started["port"], started["api_key"]
        for name, body in BODIES.items():
            statuses: set[int] = set()
            with HealthProbe(running.port) as management, HealthProbe(port, "/health") as gateway:
                senders = [
                    threading.Thread(target=_send, args=(port, key, body, statuses)) for _ in range(CLIENTS)
                ]
                for sender in senders:
                    sender.start()
                for sender in senders:
                    sender.join()
            for which, probe in (("management API", management), ("gateway", gateway)):
                figure = health_figure(f"{name}, {which}", probe)
                figures.append(replace(figure, compared=f"answered {sorted(statuses)}"))
    return figures


def _send(port: int, key: str, body: bytes, statuses: set[int]) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    ends = time.monotonic() + SEND_S
    while time.monotonic() < ends:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.add(answer.status)
        finally:
            connection.close()
