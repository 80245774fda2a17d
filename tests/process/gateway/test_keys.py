"""Keys through HTTP on real processes: who may do what, limits, fair shares, and a revocation in mid-stream."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.gateway.raw import CHAT, HELLO, Raw, busy_slots, waiting
from tests.running import (
    BASE_MODEL,
    BASE_MODEL_ID,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    Service,
    eventually,
    running,
    store_tiny_model,
)

MANAGEMENT_KEY = "a-management-key-of-the-test"
Bearer = dict[str, str]


def bearer(key: str) -> Bearer:
    return {"Authorization": f"Bearer {key}"}


def add_key(service: Service, name: str = "alice", **rules: Any) -> str:
    answer = service.post("/keys", {"name": name, **rules})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return str(answer.json()["key"])


def gateway(service: Service, key: str) -> httpx.Client:
    endpoint = service.status()["health"]["endpoint"]
    return httpx.Client(base_url=endpoint.removesuffix("/v1"), headers=bearer(key), timeout=60)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(service: Service) -> None:
    service.start()
    key = add_key(service, tokens_per_day=1000)
    with gateway(service, key) as alice:
        assert alice.post(CHAT, json=HELLO).status_code == 200
        (entry,) = service.get("/keys").json()["keys"]
        assert entry["name"] == "alice" and entry["tokens_today"] > 0 and entry["last_used_at"]
        assert key not in service.get("/keys").text
        assert service.post("/keys", {"name": "alice"}).json()["error"]["code"] == "key_exists"
        assert service.http.delete("/keys/alice").json() == {
            "success": True,
            "message": "Key 'alice' revoked",
            "name": "alice",
        }
        assert code_of(alice.post(CHAT, json=HELLO)) == (401, "invalid_api_key")
    assert service.http.delete("/keys/alice").json()["error"]["code"] == "key_not_found"
    assert service.get("/keys").json() == {"keys": [], "total_count": 0}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "../x"}, "name"),
        ({"name": "default"}, "name"),
        ({"name": "a", "models": []}, "models"),
        ({"name": "a", "requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "a", "tokens_per_day": "5"}, "tokens_per_day"),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"name": "a", "scope": "root"}, "scope"),
        ({"name": "a", "role": "root"}, "role"),
    ],
)
def test_an_impossible_key_is_refused_by_its_field(service: Service, body: Any, field: str) -> None:
    answer = service.post("/keys", body)
    assert code_of(answer) == (400, "invalid_request")
    assert field in answer.json()["error"]["details"]


def test_a_key_uses_and_sees_only_its_models(service: Service) -> None:
    service.start()
    with gateway(service, add_key(service, models=[BASE_MODEL.lower()])) as alice:
        assert [one["id"] for one in alice.get("/v1/models").json()["data"]] == [BASE_MODEL_ID]
        assert alice.get(f"/v1/models/{BASE_MODEL}").status_code == 200
        assert code_of(alice.get(f"/v1/models/{CHAT_MODEL}")) == (403, "model_not_allowed")
        assert alice.post(CHAT, json=HELLO | {"model": BASE_MODEL}).status_code == 200
        for body in (HELLO, HELLO | {"model": CHAT_MODEL_ID}):  # the current one without a name, too
            assert code_of(alice.post(CHAT, json=body)) == (403, "model_not_allowed")
        refused = alice.post("/v1/messages", json=HELLO | {"max_tokens": 5}).json()
        assert (refused["type"], refused["error"]["type"]) == ("error", "permission_error")
    assert service.post("/keys", {"name": "b", "models": ["nobody"]}).json()["error"]["code"] == (
        "model_not_found"
    )


def test_requests_per_minute_hold_to_the_request_across_a_restart(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        key = add_key(service, requests_per_minute=5)
        with gateway(service, key) as alice:
            assert [alice.post(CHAT, json=HELLO).status_code for _ in range(3)] == [200] * 3
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        with gateway(service, key) as alice:
            answers = [alice.post(CHAT, json=HELLO) for _ in range(4)]
            assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
            assert code_of(answers[2]) == (429, "rate_limit_exceeded")
            assert 1 <= int(answers[2].headers["retry-after"]) <= 60
            assert "5 requests per minute" in answers[2].json()["error"]["message"]
            assert alice.get("/v1/models").status_code == 200, "only inference counts"
        with service.gateway() as owner:
            assert owner.post(CHAT, json=HELLO).status_code == 200


def test_tokens_per_day(home: Path) -> None:
    store_tiny_model(home, worker_flags="--tokens 20")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        with gateway(service, add_key(service, tokens_per_day=30)) as alice:
            used = 0
            while used < 30:
                answer = alice.post(CHAT, json=HELLO)
                assert answer.status_code == 200
                used += answer.json()["usage"]["total_tokens"]
            refused = alice.post(CHAT, json=HELLO)
            assert code_of(refused) == (429, "rate_limit_exceeded")
            assert 1 <= int(refused.headers["retry-after"]) <= 86_400
            assert "tokens per day" in refused.json()["error"]["message"]
        assert service.get("/keys").json()["keys"][0]["tokens_today"] == used


def test_a_revoked_key_ends_what_it_runs_and_what_waits(home: Path) -> None:
    store_tiny_model(home, worker_flags="--rate 50 --tokens 100000")
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="1") as service:
        started = service.start()
        key = add_key(service)
        stream = Raw(started["port"], key).post(HELLO | {"stream": True})
        stream.read_until(b"data: ")
        waits = Raw(started["port"], key).post(HELLO)
        eventually("it waits", lambda: waiting(service) == 1)
        before = time.monotonic()
        assert service.http.delete("/keys/alice").status_code == 200
        rest, refused = stream.read_all(), waits.read_all()
        assert time.monotonic() - before < 5
        assert b'"code":"invalid_api_key"' in rest and b"[DONE]" not in rest
        assert refused.startswith(b"HTTP/1.1 401 ") and b"revoked" in refused
        eventually("the slot is free", lambda: busy_slots(service) == 0, 1.5)


def test_a_kept_response_belongs_to_its_key(service: Service) -> None:
    service.start()
    ask = {"model": CHAT_MODEL, "input": "script: text"}
    with gateway(service, add_key(service)) as alice, gateway(service, add_key(service, "bob")) as bob:
        name = alice.post("/v1/responses", json=ask | {"owner": "bob"}).json()["id"]
        assert alice.get(f"/v1/responses/{name}").status_code == 200
        for method, path in (("GET", ""), ("GET", "/input_items"), ("DELETE", "")):
            assert code_of(bob.request(method, f"/v1/responses/{name}{path}"))[0] == 404
        continued = ask | {"previous_response_id": name}
        assert code_of(bob.post("/v1/responses", json=continued)) == (400, "previous_response_not_found")
        assert alice.post("/v1/responses", json=continued).status_code == 200
        service.http.delete("/keys/alice")
    with gateway(service, add_key(service)) as another:
        assert another.get(f"/v1/responses/{name}").status_code == 404


@pytest.fixture
def locked(home: Path) -> Iterator[Service]:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MANAGEMENT_KEY=MANAGEMENT_KEY) as service:
        service.http.headers.update(bearer(MANAGEMENT_KEY))
        yield service


def test_scopes_on_both_ports(locked: Service) -> None:
    locked.start()
    keys = {scope: add_key(locked, scope, scope=scope) for scope in ("inference", "read", "manage")}

    def manage(scope: str, method: str, path: str) -> int:
        headers = bearer(keys[scope])
        return locked.http.request(method, path, headers=headers).status_code

    assert {scope: manage(scope, "GET", "/status") for scope in keys} == {
        "inference": 403,
        "read": 200,
        "manage": 200,
    }
    assert {scope: manage(scope, "POST", "/models/unload-all") for scope in keys} == {
        "inference": 403,
        "read": 403,
        "manage": 200,
    }
    for scope, sees_key in (("read", False), ("manage", True)):
        health = locked.http.get("/status", headers=bearer(keys[scope])).json()["health"]
        assert ("api_key" in health) is sees_key
    chats = {}
    for scope, key in keys.items():
        with gateway(locked, key) as client:
            chats[scope] = client.post(CHAT, json=HELLO).status_code
    assert chats == {"inference": 200, "read": 403, "manage": 200}


def test_a_revoked_key_loses_its_streams_of_the_management_port(locked: Service) -> None:
    key = add_key(locked, "reader", scope="read")
    with locked.http.stream("GET", "/events", headers=bearer(key)) as events:
        lines = events.iter_lines()
        assert next(lines).startswith("data: ")
        assert locked.http.delete("/keys/reader").status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in lines:
                pass


def test_figures_by_key_and_no_key_anywhere(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_DEFAULT_LOG_LEVEL="DEBUG") as service:
        service.start()
        key = add_key(service)
        with gateway(service, key) as alice:
            alice.post(CHAT, json=HELLO)
            alice.post(CHAT, json=HELLO | {"model": key})
            alice.get(f"/v1/models/{key}")
        metrics = service.get("/metrics").text
        assert 'foundrylocal_key_requests_total{key="alice"} 2.0' in metrics
        assert 'foundrylocal_key_completion_tokens_total{key="alice"}' in metrics
        logs = service.get("/logs?count=10000").text
        assert "key=alice" in logs
        seen = metrics + logs + service.get("/keys").text
        service.http.delete("/keys/alice")
        assert 'key="alice"' not in service.get("/metrics").text
    secret = key.removeprefix("fl-")
    assert secret not in seen
    for path in home.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_sixteen_clients_with_four_keys_one_of_them_greedy(home: Path) -> None:
    """Each key has its share of the answers within 20 %; the fake worker takes a fifth of a second for each."""
    store_tiny_model(home, worker_flags="--rate 100 --tokens 20")
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="4") as service:
        service.start()
        endpoint = service.status()["health"]["endpoint"]
        counts: Counter[str] = Counter()
        is_over = threading.Event()

        def client(name: str, key: str) -> None:
            with httpx.Client(base_url=endpoint, headers=bearer(key), timeout=60) as gate:
                while not is_over.is_set():
                    assert gate.post("/chat/completions", json=HELLO).status_code == 200
                    counts[name] += 1

        clients = []
        for name, number in (("a", 3), ("b", 3), ("c", 3), ("greedy", 7)):
            key = add_key(service, name)
            clients += [threading.Thread(target=client, args=(name, key)) for _ in range(number)]
        for one in clients:
            one.start()
        try:
            eventually("all clients are there", lambda: waiting(service) >= 10, 30)
            before = Counter(counts)
            eventually("many answers", lambda: counts.total() - before.total() >= 120, 60)
            answers = counts - before
        finally:
            is_over.set()
            for one in clients:
                one.join()
    share = answers.total() / 4
    parts = {name: round(count / share, 2) for name, count in answers.items()}
    assert all(0.8 <= part <= 1.2 for part in parts.values()) and len(parts) == 4, parts
