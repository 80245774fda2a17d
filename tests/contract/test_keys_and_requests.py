"""Sections 16 and 17 of the contract: keys, and the record of requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.shape import assert_like
from tests.contract.test_beyond import changes
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

requirement = pytest.mark.requirement

MANAGEMENT_KEY = "a-management-key-of-the-test"
HELLO = {"messages": [{"role": "user", "content": "a-word-that-nobody-may-keep"}]}
ENTRY = {
    "id": "req-1",
    "at": "2025-01-20T10:30:00Z",
    "key": "default",
    "model": CHAT_MODEL,
    "endpoint": "/v1/chat/completions",
    "status": "ok",
    "queue_ms": 0,
    "load_ms": 0,
    "prefill_ms": 1,
    "tokens_in": 1,
    "tokens_cached": 0,
    "tokens_out": 1,
    "tokens_per_second": 1.0,
    "first_token_ms": None,
    "total_ms": 1,
    "client": "127.0.0.1",
    "error": None,
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def own(home: Path) -> Iterator[Service]:
    """A running server of this test alone, since keys and the record stay."""
    for name in (CHAT_MODEL, BASE_MODEL):
        store_tiny_model(home, name, worker_flags="--rate 500")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        yield service


def chat(service: Service, key: str, **fields: Any) -> httpx.Response:
    endpoint = service.status()["health"]["endpoint"]
    return httpx.post(f"{endpoint}/chat/completions", json=HELLO | fields, headers=bearer(key), timeout=60)


@requirement("16.keys")
def test_a_key_is_answered_once_and_refused_when_it_is_revoked(own: Service) -> None:
    created = own.post("/keys", {"name": "alice"}).json()
    assert created["success"] is True and created["key"].startswith("fl-")
    assert_like(
        own.get("/keys").json(), {"keys": [{"name": "alice", "scope": "inference"}], "total_count": 1}
    )
    assert created["key"] not in own.get("/keys").text
    assert chat(own, created["key"]).status_code == 200
    assert own.http.delete("/keys/alice").json()["success"] is True
    assert chat(own, created["key"]).json()["error"]["code"] == "invalid_api_key"


@requirement("16.limits")
def test_limits_and_models(own: Service) -> None:
    rules = {"models": [BASE_MODEL], "requests_per_minute": 2}
    key = own.post("/keys", {"name": "alice", **rules}).json()["key"]
    assert chat(own, key).json()["error"]["code"] == "model_not_allowed"
    assert chat(own, key, model=BASE_MODEL).status_code == 200
    limited = chat(own, key, model=BASE_MODEL)
    assert limited.status_code == 429 and int(limited.headers["retry-after"]) >= 1
    assert limited.json()["error"]["type"] == "rate_limit_error"


@requirement("16.scopes")
def test_scopes(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MANAGEMENT_KEY=MANAGEMENT_KEY) as service:
        service.http.headers.update(bearer(MANAGEMENT_KEY))
        service.start()
        keys = {
            scope: service.post("/keys", {"name": f"a-{scope}", "scope": scope}).json()["key"]
            for scope in ("inference", "read", "manage")
        }
        reads = {scope: service.get("/status", headers=bearer(key)) for scope, key in keys.items()}
        assert [answer.status_code for answer in reads.values()] == [403, 200, 200]
        assert reads["inference"].json()["error"]["code"] == "scope_not_allowed"
        assert "api_key" not in reads["read"].text and "api_key" in reads["manage"].text
        changes = [service.post("/config", {}, headers=bearer(key)).status_code for key in keys.values()]
        assert changes == [403, 403, 200]


@requirement("16.cli")
def test_the_command_line(own: Service) -> None:
    def run(*arguments: str) -> str:
        environment = os.environ | {"FOUNDRYLOCAL_URL": own.root}
        command = [sys.executable, "-m", "foundrylocal", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    key = json.loads(run("keys", "add", "alice", "--json"))["key"]
    assert chat(own, key).status_code == 200
    assert "alice" in run("keys", "list") and key not in run("keys", "list")
    assert "alice" in run("requests", "list")
    assert "revoked" in run("keys", "rm", "alice")


@requirement("17.list")
def test_the_list_of_requests(own: Service) -> None:
    with own.gateway() as gateway:
        answer = gateway.post("/v1/chat/completions", json=HELLO)
    body = own.get(f"/requests?limit=5&model={CHAT_MODEL}&key=default&status=ok").json()
    assert_like(body, {"requests": [ENTRY], "total_count": 1})
    assert body["requests"][0]["id"] == answer.headers["x-request-id"]
    assert "nobody-may-keep" not in json.dumps(body)
    assert own.get("/requests?key=other").json() == {"requests": [], "total_count": 0}


@requirement("17.end")
def test_a_running_request_is_ended(home: Path) -> None:
    store_tiny_model(home, worker_flags="--rate 50 --tokens 100000")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        url = "/v1/chat/completions"
        with (
            service.gateway() as gateway,
            gateway.stream("POST", url, json=HELLO | {"stream": True}) as stream,
        ):
            lines = stream.iter_lines()
            next(lines)
            name = stream.headers["x-request-id"]
            assert service.http.delete(f"/requests/{name}").json()["success"] is True
            last = json.loads([line for line in lines if line.startswith("data: ")][-1][6:])
        assert last["error"]["code"] == "request_ended"
        eventually("it has ended", lambda: service.get(f"/requests/{name}").json()["status"] == "cancelled")


@requirement("17.events")
def test_events_tell_of_requests(own: Service) -> None:
    with own.http.stream("GET", "/events") as events:
        seen = changes(own, events.iter_lines(), "requests")
        assert next(seen)["ended_count"] == 0
        with own.gateway() as gateway:
            gateway.post("/v1/chat/completions", json=HELLO)
        told = next(data for data in seen if data["ended_count"])
    assert_like(told["recent"], [ENTRY])


@requirement("17.captures")
def test_captures(own: Service) -> None:
    with own.gateway() as gateway:
        for limit, is_kept in ((0, False), (5, True)):
            assert own.post("/config", {"capture_requests": limit}).status_code == 200
            name = gateway.post("/v1/chat/completions", json=HELLO).headers["x-request-id"]
            captured = own.get(f"/requests/{name}").json()["captured"]
            assert (captured is not None) is is_kept
    assert captured["request"] == HELLO and captured["answer"]["choices"]
    assert own.post("/config", {"capture_requests": 101}).status_code == 400
