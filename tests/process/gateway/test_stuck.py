"""An engine that is alive and stuck: the request that holds it is ended, its worker replaced, the others answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.gateway.raw import CHAT, HELLO, events_of, raw
from tests.running import FAKE_WORKER, Service, eventually, running, store_tiny_model

MARK = "this-holds-the-engine"
GUILTY: dict[str, Any] = {
    "messages": [{"role": "user", "content": MARK}],
    "grammar": 'root ::= "a" root "b" | "a" root "c" | ""',
}


def running_requests(service: Service) -> int:
    """How many requests have a slot, by the service's own metrics."""
    lines = service.get("/metrics").text.splitlines()
    return sum(
        int(float(line.rsplit(" ", 1)[1]))
        for line in lines
        if line.startswith("foundrylocal_requests_running{")
    )


@pytest.fixture(params=["", "--slots-while-stuck"])
def stuck_service(home: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    store_tiny_model(home, worker_flags=f"--stuck-on {MARK} --rate 2 --tokens 400 {request.param}")
    with running(home, worker=FAKE_WORKER) as service:
        yield service


@pytest.mark.timeout(180)
def test_row_31_a_stuck_engine_is_freed_and_everybody_else_is_answered(stuck_service: Service) -> None:
    started = stuck_service.start()
    stream = raw(started).post(HELLO | {"stream": True})
    begun = stream.read_until(b'"content":"word0"')
    answers: dict[str, httpx.Response] = {}

    def ask(name: str, body: dict[str, Any]) -> None:
        with stuck_service.gateway() as client:
            answers[name] = client.post(CHAT, json=body, timeout=90)

    guilty = threading.Thread(target=ask, args=("guilty", GUILTY))
    guilty.start()
    eventually("two requests are under way", lambda: running_requests(stuck_service) == 2)
    bystander = threading.Thread(target=ask, args=("bystander", HELLO | {"max_tokens": 1}))
    bystander.start()
    stream.socket.settimeout(90)
    rest = begun + stream.read_all()
    guilty.join(90)
    bystander.join(90)

    assert answers["bystander"].status_code == 200
    assert answers["guilty"].status_code == 500
    assert "made no progress" in answers["guilty"].json()["error"]["message"]
    assert b"[DONE]" not in rest and "error" in events_of(rest)[-1]
    with stuck_service.gateway() as client:
        again = client.post(CHAT, json=GUILTY)
        assert (again.status_code, again.json()["error"]["param"]) == (400, "grammar")
        assert client.post(CHAT, json=HELLO | {"max_tokens": 1}).status_code == 200
    lines = [entry["message"] for entry in stuck_service.get("/logs?count=1000").json()]
    (named,) = [line for line in lines if "made no progress for" in line]
    assert "request req-" in named and CHAT in named
    assert not any(MARK in line or "root" in line for line in lines)


@pytest.mark.timeout(180)
def test_row_31_a_request_that_stands_still_is_ended_alone(home: Path) -> None:
    store_tiny_model(home, worker_flags=f"--stall-on {MARK} --rate 4 --tokens 200")
    with running(home, worker=FAKE_WORKER) as service:
        stream = raw(service.start()).post(HELLO | {"stream": True})
        begun = stream.read_until(b'"content":"word0"')
        (worker,) = service.workers()
        with service.gateway() as client:
            answer = client.post(CHAT, json=GUILTY, timeout=90)
            assert answer.status_code == 500
            assert "made no progress" in answer.json()["error"]["message"]
            assert client.post(CHAT, json=HELLO | {"max_tokens": 1}).status_code == 200
        stream.socket.settimeout(90)
        assert events_of(begun + stream.read_all())[-1] == "[DONE]"
        assert service.workers() == [worker]


@pytest.mark.timeout(120)
def test_a_prompt_that_is_read_slowly_is_not_taken_for_a_stuck_engine(home: Path) -> None:
    """One batch takes 31 s here, longer than a request may stand still once its prompt was read."""
    store_tiny_model(home, worker_flags="--prompt-rate 12.4")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        with service.gateway() as client:
            body = {"messages": [{"role": "user", "content": "word " * 400}], "max_tokens": 2}
            assert client.post(CHAT, json=body, timeout=90).status_code == 200
