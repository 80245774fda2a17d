"""Several replicas of a model with real processes: one is killed, and their number follows the requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.running import CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

SOON_S = 30.0
CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}


@contextmanager
def started(home: Path, replicas: str, **flags: str) -> Iterator[Service]:
    store_tiny_model(home, CHAT_MODEL)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_REPLICAS=replicas, **flags) as service:
        service.start(options={"parallel": 1})
        yield service


def ready(service: Service) -> list[str]:
    return [one["replica"] for one in service.get("/machine").json()["models"] if one["state"] == "ready"]


def test_when_one_of_two_is_killed_the_other_answers_and_it_is_replaced(home: Path) -> None:
    with started(home, "2") as service, service.gateway() as gateway:
        eventually("two replicas", lambda: len(ready(service)) == 2, SOON_S)
        before = set(ready(service))
        [first, _] = service.workers()
        first.kill()
        first.wait(SOON_S)
        assert [gateway.post(CHAT, json=HELLO).status_code for _ in range(4)] == [200] * 4
        eventually("it is replaced", lambda: len(ready(service)) == 2, SOON_S)
        assert len(before & set(ready(service))) == 1
        status = service.status()
        assert (status["status"], status["replicas"], status["last_error"]) == ("running", 2, None)
        assert service.get("/health").json()["status"] == "healthy"
        loaded = service.get("/models/loaded").json()
        assert loaded["total_count"] == 1


@pytest.mark.timeout(120)
def test_their_number_follows_the_rate_of_requests_within_the_range(home: Path) -> None:
    with (
        started(home, "1-2", FAKE_WORKER_FLAGS="--rate 16 --tokens 16") as service,
        service.gateway() as gateway,
    ):
        assert len(ready(service)) == 1
        is_over = threading.Event()
        statuses: list[int] = []

        def ask_on() -> None:
            while not is_over.is_set():
                statuses.append(gateway.post(CHAT, json=HELLO).status_code)

        clients = [threading.Thread(target=ask_on) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            eventually("a second one", lambda: len(ready(service)) == 2, SOON_S)
        finally:
            is_over.set()
            for client in clients:
                client.join(SOON_S)
        assert set(statuses) == {200}
        assert len(ready(service)) == 2  # never more than the range says


def test_a_model_that_is_unloaded_or_stopped_leaves_no_worker(home: Path) -> None:
    with started(home, "3") as service:
        service.post(f"/models/{CHAT_MODEL}/unload")  # two of them may be loading
        assert service.workers() == []
        service.post(f"/models/{CHAT_MODEL}/load")
        eventually("all three", lambda: len(ready(service)) == 3, SOON_S)
        service.post("/stop")
        assert service.workers() == []
        assert ready(service) == []
