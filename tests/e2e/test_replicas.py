"""Two replicas of the real model on one machine: both answer, one is killed under load, and requests go on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import CHAT_MODEL, Service, eventually, running

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]
CLIENTS = 16
SOON_S = 60.0
CHAT = "/v1/chat/completions"


@pytest.fixture
def with_two(home: Path, model_cache: Path) -> Iterator[Service]:
    settings = {"FOUNDRYLOCAL_CACHE_DIR": str(model_cache), "FOUNDRYLOCAL_REPLICAS": f"{CHAT_MODEL}=2"}
    with running(home, **settings) as service:
        service.start(options={"context_size": 2048, "parallel": 2})
        eventually("two replicas", lambda: len(ready(service)) == 2, SOON_S)
        yield service


def ready(service: Service) -> list[dict[str, Any]]:
    return [one for one in service.get("/machine").json()["models"] if one["state"] == "ready"]


class Clients:
    """Clients that each go on asking until they are told to stop; `answers` counts statuses and error codes."""

    def __init__(self, service: Service) -> None:
        self.gateway = service.gateway()
        self.answers: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self._ask_on, args=(number,)) for number in range(CLIENTS)]
        self.is_over = False

    def __enter__(self) -> Clients:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.is_over = True
        for thread in self.threads:
            thread.join(SOON_S)
        self.gateway.close()

    @property
    def good(self) -> int:
        return self.answers["200"]

    def _ask_on(self, number: int) -> None:
        turns = [
            {"role": "user", "content": f"Client {number} says: Hello! Tell me about the number {number}."}
        ]
        while not self.is_over:
            body = {"messages": turns, "max_tokens": 8, "temperature": 0}
            try:
                answer = self.gateway.post(CHAT, json=body, timeout=SOON_S)
            except httpx.HTTPError as error:
                self.answers[type(error).__name__] += 1
                return
            code = "" if answer.status_code == 200 else f" {answer.json()['error']['code']}"
            self.answers[f"{answer.status_code}{code}"] += 1


def test_both_answer_and_when_one_is_killed_under_load_requests_go_on_and_it_is_replaced(
    with_two: Service,
) -> None:
    before = {one["replica"] for one in ready(with_two)}
    workers = with_two.workers()
    assert len(workers) == 2
    with Clients(with_two) as clients:
        eventually("some answers", lambda: clients.good >= 3 * CLIENTS, SOON_S)
        used_s = [worker.cpu_times().user for worker in workers]
        assert min(used_s) > 0.2 * max(used_s), used_s
        killed_at, good = time.monotonic(), clients.good
        workers[0].kill()
        # At once: the other replica goes on, and takes what has to wait.
        eventually("further answers", lambda: clients.good >= good + CLIENTS, SOON_S)
        eventually("it is replaced", lambda: len(ready(with_two)) == 2, SOON_S)
        took_s = time.monotonic() - killed_at
        good = clients.good
        eventually("answers of both", lambda: clients.good >= good + CLIENTS, SOON_S)
    answers = dict(clients.answers)
    # What the killed worker had is not repeated (decision 8): at most its two slots, and nothing else is lost.
    lost = answers.pop("502 worker_crashed", 0)
    assert set(answers) == {"200"}, clients.answers
    assert lost <= 2
    after = {one["replica"] for one in ready(with_two)}
    assert len(after & before) == 1
    assert with_two.status()["status"] == "running"
    assert took_s < SOON_S


def test_an_unload_and_a_stop_end_both(with_two: Service) -> None:
    assert with_two.post(f"/models/{CHAT_MODEL}/unload").json()["message"] == "Model unloaded successfully"
    assert with_two.workers() == []
    gateway = with_two.gateway()
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    assert gateway.post(CHAT, json=body).status_code == 200
    eventually("two again", lambda: len(ready(with_two)) == 2, SOON_S)
    loaded = with_two.get("/models/loaded").json()
    assert [one["simple_name"] for one in loaded["models"]] == [CHAT_MODEL]
    with_two.post("/stop")
    assert with_two.workers() == []
