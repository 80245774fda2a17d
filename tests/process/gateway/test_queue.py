"""Backpressure through HTTP: slots, the queue, its bound, and what clients read about them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.process.gateway.raw import CHAT, HELLO, ask_worker, busy_slots, raw, waiting
from tests.running import BASE_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

ENDLESS = "--rate 50 --tokens 100000"


@pytest.fixture
def narrow(home: Path) -> Iterator[Service]:
    """One slot, and two places in line."""
    store_tiny_model(home, worker_flags=ENDLESS)
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="1", FOUNDRYLOCAL_QUEUE_SIZE="2") as service:
        yield service


def test_past_the_line_is_429_with_a_time(narrow: Service) -> None:
    started = narrow.start()
    clients = [raw(started).post(HELLO)]
    eventually("it runs", lambda: busy_slots(narrow) == 1)
    clients += [raw(started).post(HELLO) for _ in range(2)]
    eventually("two wait", lambda: waiting(narrow) == 2)
    with narrow.gateway() as gateway:
        answer = gateway.post(CHAT, json=HELLO)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
        assert answer.json()["error"]["type"] == "rate_limit_error"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert gateway.post("/tokenize", json={"content": "a"}).status_code == 200
        other = gateway.post(CHAT, json=HELLO | {"model": BASE_MODEL})
        assert (other.status_code, BASE_MODEL in other.json()["model"]) == (200, True)
    for client in clients:
        client.drop()
    eventually("the slot is free", lambda: busy_slots_of(narrow) == 0)


def busy_slots_of(service: Service) -> int:
    text = service.get("/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("foundrylocal_requests_running{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)


def test_an_answer_tells_of_its_way(home: Path) -> None:
    store_tiny_model(home, worker_flags="--rate 100 --tokens 20")
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="1") as service:
        service.start()
        with service.gateway() as gateway, ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(gateway.post, CHAT, json=HELLO) for _ in range(3)]
            headers = [answer.result().headers for answer in answers]
        assert sorted(int(one["x-queue-position"]) for one in headers) == [0, 1, 2]
        assert max(int(one["x-queue-wait-ms"]) for one in headers) >= 200
        for one in headers:
            names = [part.split(";")[0] for part in one["server-timing"].split(", ")]
            assert names == ["queue", "load", "prefill", "decode"]


def test_never_more_at_once_than_slots(home: Path) -> None:
    store_tiny_model(home, worker_flags="--rate 25 --tokens 10 --slots 16")
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="2") as service:
        service.start()
        with service.gateway() as gateway, ThreadPoolExecutor(12) as pool:
            answers = [pool.submit(gateway.post, CHAT, json=HELLO) for _ in range(12)]
            most = 0
            while not all(answer.done() for answer in answers):
                most = max(most, busy_slots(service))
            assert [answer.result().status_code for answer in answers] == [200] * 12
        assert 1 <= most <= 2
        assert ask_worker(service, "/props")["fake"]["finished"] == 12


def test_figures_in_log_and_metrics_without_the_prompt(service: Service) -> None:
    service.start()
    secret = "a-word-that-nobody-may-log"
    with service.gateway() as gateway:
        gateway.post(CHAT, json={"messages": [{"role": "user", "content": secret}]})
        gateway.post(CHAT, json={"messages": secret})
    logs = service.get("/logs?count=1000").text
    assert secret not in logs
    assert "/v1/chat/completions 200 ok" in logs and "/v1/chat/completions 400 invalid_request" in logs
    metrics = service.get("/metrics").text
    assert "foundrylocal_completion_tokens_total" in metrics
    assert 'outcome="invalid_request"' in metrics
