"""The record of requests on real processes: figures, ends, events, captures, and that no content is in any of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.process.gateway.raw import CHAT, HELLO, Raw, busy_slots, raw
from tests.running import (
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    Service,
    eventually,
    running,
    store_tiny_model,
)

ENDLESS = "--rate 50 --tokens 100000"
CANARY = "a-word-that-nobody-may-keep"


def listed(service: Service, **query: Any) -> list[dict[str, Any]]:
    answer = service.get("/requests", params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["requests"])


def test_each_answer_has_its_entry_by_the_id_in_its_header(service: Service) -> None:
    service.start()
    with service.gateway() as gateway:
        whole = gateway.post(CHAT, json=HELLO)
        stream = gateway.post(CHAT, json=HELLO | {"stream": True})
        wrong = gateway.post(CHAT, json={"messages": 5})
    entries = {entry["id"]: entry for entry in listed(service)}
    assert len(entries) == 3
    ok, streamed, failed = (entries[answer.headers["x-request-id"]] for answer in (whole, stream, wrong))
    assert (ok["status"], ok["http_status"], ok["key"]) == ("ok", 200, "default")
    assert (ok["model"], ok["model_id"], ok["endpoint"]) == (CHAT_MODEL, CHAT_MODEL_ID, CHAT)
    assert ok["tokens_in"] == whole.json()["usage"]["prompt_tokens"] and ok["first_token_ms"] is None
    assert ok["tokens_out"] == whole.json()["usage"]["completion_tokens"] and ok["total_ms"] is not None
    assert streamed["is_stream"] and streamed["first_token_ms"] is not None
    assert ok["client"].startswith("127.0.0.1 python-httpx/")
    assert (failed["status"], failed["http_status"]) == ("failed", 400)
    assert failed["error"] == {"code": "invalid_request", "message": None}
    assert [entry["id"] for entry in listed(service, status="failed")] == [failed["id"]]
    assert len(listed(service, model=CHAT_MODEL.lower(), limit=1)) == 1
    assert service.get("/requests?status=nonsense").status_code == 400
    assert service.get("/requests?limit=0").status_code == 400
    assert service.get("/requests/req-none").json()["error"]["code"] == "request_not_found"
    assert service.get(f"/requests/{ok['id']}").json() == {**ok, "captured": None}


def test_ending_a_stream_frees_its_slot_and_tells_its_client(home: Path) -> None:
    store_tiny_model(home, worker_flags=ENDLESS)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="1") as service:
        started = service.start()
        for path, body in ((CHAT, HELLO), ("/v1/messages", HELLO | {"max_tokens": 100_000})):
            client = raw(started).post(body | {"stream": True}, path)
            client.read_until(b"data: ")
            (entry,) = listed(service, status="running")
            before = time.monotonic()
            assert service.http.delete(f"/requests/{entry['id']}").json()["message"] == "Request ended"
            rest = client.read_all()
            eventually("the slot is free", lambda: busy_slots(service) == 0, 1.0)
            assert time.monotonic() - before < 2
            assert b'"code":"request_ended"' in rest and rest.endswith(b"0\r\n\r\n")
            assert b"[DONE]" not in rest
            again = service.http.delete(f"/requests/{entry['id']}").json()
            assert (again["success"], again["message"]) == (True, "Request has already ended")
            assert listed(service)[0]["status"] == "cancelled"
        assert service.http.delete("/requests/req-none").status_code == 404


def test_a_stream_that_is_complete_cannot_be_ended_any_more(home: Path) -> None:
    store_tiny_model(home, worker_flags="--hold-end 600")
    with running(home, worker=FAKE_WORKER) as service:
        started = service.start()
        for path, body, end in (
            (CHAT, HELLO, b"[DONE]"),
            ("/v1/messages", HELLO | {"max_tokens": 100_000}, b"message_stop"),
        ):
            client = raw(started).post(body | {"stream": True}, path)
            client.read_until(end)
            (entry,) = listed(service, status="running")
            service.http.delete(f"/requests/{entry['id']}")
            rest = client.read_all()
            assert b"error" not in rest and rest.endswith(b"0\r\n\r\n")
            assert listed(service)[0]["status"] == "ok"


def test_ending_a_whole_answer_and_one_that_waits(home: Path) -> None:
    store_tiny_model(home, worker_flags=ENDLESS)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="1") as service:
        started = service.start()
        runs = raw(started).post(HELLO)
        eventually("it runs", lambda: busy_slots(service) == 1)
        waits = raw(started).post(HELLO)
        (waiting,) = eventually("it waits", lambda: listed(service, status="waiting"))
        (running_one,) = listed(service, status="running")
        for entry, client in ((waiting, waits), (running_one, runs)):
            service.http.delete(f"/requests/{entry['id']}")
            answer = client.read_all()
            assert answer.startswith(b"HTTP/1.1 409 ") and b'"request_ended"' in answer
            assert f"x-request-id: {entry['id']}".encode() in answer
            assert b"x-should-retry: false" in answer
        eventually("the slot is free", lambda: busy_slots(service) == 0, 1.0)


def test_events_tell_of_requests(home: Path) -> None:
    store_tiny_model(home, worker_flags=ENDLESS)
    with running(home, worker=FAKE_WORKER) as service, service.http.stream("GET", "/events") as answer:
        seen = (
            json.loads(line[6:])["data"]
            for line in answer.iter_lines()
            if line.startswith('data: {"type":"requests"')
        )
        assert next(seen) == {"running": [], "recent": [], "ended_count": 0}
        client = raw(service.start()).post(HELLO | {"stream": True})
        client.read_until(b"data: ")
        (entry,) = next(data for data in seen if data["running"])["running"]
        assert entry["status"] in ("waiting", "running")
        client.drop()
        data = next(data for data in seen if not data["running"])
        assert (data["ended_count"], data["recent"][0]["status"]) == (1, "cancelled")


def bodies(secret: str) -> list[tuple[str, Any]]:
    """Requests that hold a word in every place where a client can put one."""
    messages = [{"role": "user", "content": secret}]
    return [
        (CHAT, {"messages": messages}),
        (CHAT, {"messages": messages, "stream": True}),
        (CHAT, {"messages": messages, "user": secret}),
        (CHAT, {"messages": secret}),
        (CHAT, {"messages": messages, secret: 1}),
        (CHAT, {"messages": messages, "response_format": {"type": secret}}),
        (CHAT, {"messages": [{"role": secret, "content": "x"}]}),
        ("/v1/completions", {"prompt": secret}),
        ("/v1/messages", {"messages": messages, "max_tokens": 5}),
        ("/v1/responses", {"input": secret}),
        ("/v1/embeddings", {"input": secret}),
        ("/tokenize", {"content": secret}),
    ]


def test_no_prompt_in_the_record_the_logs_the_metrics_or_a_file(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_DEFAULT_LOG_LEVEL="DEBUG") as service:
        service.start()
        with service.gateway() as gateway:
            for path, body in bodies(CANARY):
                gateway.post(path, json=body)
        assert len(listed(service)) == len(bodies(CANARY))
        seen = [service.get(path).text for path in ("/requests", "/metrics", "/logs?count=10000", "/status")]
        seen += [service.get(f"/requests/{entry['id']}").text for entry in listed(service)]
        with service.http.stream("GET", "/events") as answer:
            seen += [line for line, _ in zip(answer.iter_lines(), range(15), strict=False)]
    assert CANARY not in "".join(seen)
    for path in home.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


def test_captures_hold_the_bodies_while_the_setting_is_on(service: Service) -> None:
    service.start()
    assert service.post("/config", {"capture_requests": 1}).status_code == 200
    with service.gateway() as gateway:
        ids = [
            gateway.post(
                CHAT, json={"messages": [{"role": "user", "content": CANARY}], "stream": is_stream}
            ).headers["x-request-id"]
            for is_stream in (False, True)
        ]
    first, second = (service.get(f"/requests/{one}") for one in ids)
    assert first.json()["captured"] is None, "one is kept"
    captured = second.json()["captured"]
    assert captured["request"]["messages"][0]["content"] == CANARY
    assert captured["answer"].startswith("data: {") and captured["answer"].endswith("data: [DONE]\n\n")
    assert second.headers["cache-control"] == "no-store"
    assert CANARY not in service.get("/requests").text + service.get("/logs?count=10000").text
    service.post("/config", {"capture_requests": 0})
    assert service.get(f"/requests/{ids[1]}").json()["captured"] is None


def test_a_client_that_left_and_a_crash_have_their_status(home: Path) -> None:
    store_tiny_model(home, worker_flags="--rate 50 --tokens 100000 --die-mid-stream 40")
    with running(home, worker=FAKE_WORKER) as service:
        started = service.start()
        gone = raw(started).post(HELLO | {"stream": True})
        gone.read_until(b"data: ")
        gone.drop()
        eventually("it is noticed", lambda: listed(service)[0]["status"] == "cancelled")
        stays = Raw(started["port"], started["api_key"]).post(HELLO | {"stream": True})
        assert b"worker_crashed" in stays.read_all()
        entry = listed(service)[0]
        assert (entry["status"], entry["error"]["code"]) == ("failed", "worker_crashed")
