"""Faults in flight: clients that leave, stall and lie, and workers that die under load."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from tests.process.gateway.raw import CHAT, HELLO, ask_worker, busy_slots, events_of, raw, waiting
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model
from tests.unit.gateway.dialects.all_routes import ROUTES

STREAM = HELLO | {"stream": True}
OTHER = BASE_MODEL
SLOW = "--rate 50 --tokens 5000"


@pytest.fixture
def slow_service(home: Path) -> Iterator[Service]:
    """A service whose worker answers without an end; 8 at a time."""
    store_tiny_model(home, worker_flags=SLOW)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="8") as service:
        yield service


# --- the client -----------------------------------------------------------------------------------------


def test_row_23_fifty_clients_that_leave_in_mid_stream_free_their_slots(slow_service: Service) -> None:
    started = slow_service.start()
    for _ in range(50):
        client = raw(started).post(STREAM)
        client.read_until(b'"content":"word0"')
        client.drop()
    eventually("all slots are free", lambda: busy_slots(slow_service) == 0, 1.0)
    fake = ask_worker(slow_service, "/props")["fake"]
    assert fake["cancelled"] == 50


def test_row_23_a_client_that_leaves_a_plain_call_frees_its_slot(slow_service: Service) -> None:
    started = slow_service.start()
    clients = [raw(started).post(HELLO) for _ in range(8)]
    eventually("all run", lambda: busy_slots(slow_service) == 8)
    for client in clients:
        client.drop()
    eventually("all slots are free", lambda: busy_slots(slow_service) == 0, 1.0)


def test_row_23_clients_that_leave_after_large_requests_free_their_slots(slow_service: Service) -> None:
    started = slow_service.start()
    # How much comes in the last read is up to the system: some of these are larger than what uvicorn reads ahead.
    sizes = [size for size in (70_000, 200_000, 300_000, 400_000) for _ in range(2)]
    clients = [raw(started).post(HELLO | {"user": "x" * size}) for size in sizes]
    eventually("all run", lambda: busy_slots(slow_service) == 8)
    for client in clients:
        client.socket.close()
    eventually("all slots are free", lambda: busy_slots(slow_service) == 0, 1.0)


def test_row_25_what_is_no_request_is_not_answered_in_the_middle_of_a_stream(slow_service: Service) -> None:
    client = raw(slow_service.start()).post(STREAM, Connection="keep-alive")
    seen = client.read_until(b'"content":"word0"')
    client.socket.sendall(b"\x16\x03\x01\x02\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        seen += client.read_all()
    assert seen.count(b"HTTP/1.1 ") == 1
    eventually("its slot is free", lambda: busy_slots(slow_service) == 0, 1.0)


def test_row_23_a_client_that_leaves_the_line_is_never_sent_to_the_worker(slow_service: Service) -> None:
    started = slow_service.start()
    running_ones = [raw(started).post(STREAM) for _ in range(8)]
    eventually("all run", lambda: busy_slots(slow_service) == 8)
    waiters = [raw(started).post(STREAM) for _ in range(5)]
    eventually("five wait", lambda: waiting(slow_service) == 5)
    for client in waiters:
        client.drop()
    eventually("nobody waits", lambda: waiting(slow_service) == 0)
    for client in running_ones:
        client.drop()
    eventually("all slots are free", lambda: busy_slots(slow_service) == 0)
    assert ask_worker(slow_service, "/props")["fake"]["cancelled"] == 8


# --- keys -----------------------------------------------------------------------------------------------


def test_either_header_carries_the_key_and_a_wrong_one_is_401(service: Service) -> None:
    started = service.start()
    base, key = started["endpoint"], started["api_key"]
    for headers in (
        {"Authorization": f"Bearer {key}"},
        {"x-api-key": key},
        {"Authorization": f"bearer {key}"},
    ):
        assert httpx.post(f"{base}/chat/completions", json=HELLO, headers=headers).status_code == 200
    for headers in ({}, {"x-api-key": "fl-wrong"}, {"Authorization": key}, {"Authorization": "Bearer"}):
        answer = httpx.post(f"{base}/chat/completions", json=HELLO, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_every_401_is_in_the_metrics_by_its_endpoint(service: Service) -> None:
    base = service.start()["endpoint"].removesuffix("/v1")
    paths = {path: path for path in (*ROUTES, "/v1/models")} | {
        "/v1/nothing": "other",
        "/v1/models/x": "other",
    }
    for path in paths:
        for headers in ({}, {"Authorization": "Bearer fl-wrong"}):
            method = "GET" if "models" in path else "POST"
            assert httpx.request(method, base + path, headers=headers).status_code == 401, path
    text = service.get("/metrics").text
    for endpoint in set(paths.values()):
        count = 2 * sum(one == endpoint for one in paths.values())
        labels = f'endpoint="{endpoint}",model="none",outcome="invalid_api_key"'
        assert f"foundrylocal_requests_total{{{labels}}} {count}.0" in text, endpoint


def test_openai_raises_its_authentication_error(service: Service) -> None:
    client = openai.OpenAI(base_url=service.start()["endpoint"], api_key="fl-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=CHAT_MODEL, messages=HELLO["messages"])


# --- what is no proper request --------------------------------------------------------------------------


def test_row_25_a_head_that_never_ends_is_closed_at_15_s(service: Service) -> None:
    port = service.start()["port"]
    began = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", port)) as silent,
        socket.create_connection(("127.0.0.1", port)) as slow,
    ):
        slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        for sock in (silent, slow):
            sock.settimeout(30)
            with pytest.raises(ConnectionResetError):
                assert sock.recv(100) == b""
                raise ConnectionResetError
    assert 14 < time.monotonic() - began < 30


@pytest.mark.parametrize("size", [20_000, 1_000_000])
def test_row_25_large_headers_are_431_or_closed(service: Service, size: int) -> None:
    started = service.start()
    client = raw(started)
    seen = b""
    try:
        client.post(HELLO, X_Large="a" * size)
        seen = client.read_all()
    except (ConnectionResetError, BrokenPipeError):
        pass
    if seen:
        head, _, body = seen.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 431 ")
        assert json.loads(body)["error"]["type"] == "invalid_request_error"
    with service.gateway() as gateway:
        assert gateway.post(CHAT, json=HELLO).status_code == 200


def test_row_25_a_large_body_is_413_before_it_is_sent(service: Service) -> None:
    client = raw(service.start())
    client.socket.sendall(
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.key}\r\n"
        "Content-Length: 100000000\r\n\r\n".encode()
    )
    answer = client.read_until(b"}}")
    assert answer.startswith(b"HTTP/1.1 413 ") and b'"request_too_large"' in answer


def test_row_25_a_large_chunked_body_is_413_and_not_kept(service: Service) -> None:
    client = raw(service.start())
    client.socket.sendall(
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {client.key}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    for _ in range(9):
        client.socket.sendall(b"100000\r\n" + b"a" * 0x100000 + b"\r\n")
    assert client.read_until(b"}}").startswith(b"HTTP/1.1 413 ")


def test_a_setting_lets_larger_bodies_in(service: Service) -> None:
    service.start()
    service.post("/config", {"request_limit_mb": 9})
    large = {"messages": [{"role": "user", "content": "a" * 0x880000}]}
    with service.gateway() as gateway:
        assert gateway.post(CHAT, json=large).status_code == 200
        service.post("/config", {"request_limit_mb": 8})
        assert gateway.post(CHAT, json=large).json()["error"]["code"] == "request_too_large"


def test_row_25_a_body_that_is_longer_than_told_is_no_second_request(service: Service) -> None:
    client = raw(service.start())
    body = json.dumps(HELLO).encode()
    client.post(HELLO, Content_Length=str(len(body) - 20))
    answers = client.read_all()
    assert b"200 OK" not in answers
    assert answers.startswith(b"HTTP/1.1 400 ") and answers.count(b"HTTP/1.1 400 ") <= 2
    with service.gateway() as gateway:
        assert gateway.post(CHAT, json=HELLO).status_code == 200


def test_row_25_a_body_that_is_shorter_than_told_and_a_client_that_leaves(service: Service) -> None:
    client = raw(service.start())
    client.post(HELLO, Content_Length="5000")
    client.drop()
    with service.gateway() as gateway:
        assert gateway.post(CHAT, json=HELLO).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_row_25_what_is_no_http_gets_the_one_error_shape(service: Service, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", service.start()["port"]), timeout=10) as sock:
        sock.sendall(head)
        answer = b""
        while more := sock.recv(65536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_request"


# --- the worker -----------------------------------------------------------------------------------------


def test_row_01_a_plain_call_of_a_killed_worker_is_502(slow_service: Service) -> None:
    started = slow_service.start()
    client = raw(started).post(HELLO)
    eventually("it runs", lambda: busy_slots(slow_service) == 1)
    slow_service.workers()[0].kill()
    answer = client.read_until(b"}}")
    assert answer.startswith(b"HTTP/1.1 502 ") and b'"worker_crashed"' in answer


def test_row_01_eight_streams_end_with_an_error_and_eight_that_wait_are_answered(home: Path) -> None:
    path = store_tiny_model(home, worker_flags=SLOW)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="8") as service:
        started = service.start()
        streams = [raw(started).post(STREAM) for _ in range(8)]
        for stream in streams:
            stream.read_until(b'"content":"word0"')
        with ThreadPoolExecutor(8) as pool, service.gateway() as gateway:
            answers = [pool.submit(gateway.post, CHAT, json=HELLO) for _ in range(8)]
            eventually("eight wait", lambda: waiting(service) == 8)
            path.with_name(path.name + ".flags").write_text("--tokens 5")
            os.kill(service.workers()[0].pid, signal.SIGKILL)
            for stream in streams:
                events = events_of(stream.read_all())
                assert json.loads(events[-1])["error"]["code"] == "worker_crashed"
                assert "[DONE]" not in events
                for event in events[:-1]:
                    json.loads(event)
            for answer in answers:
                assert answer.result().status_code == 200
                assert answer.result().json()["usage"]["completion_tokens"] == 5


def test_row_08_a_worker_that_dies_in_every_stream_ends_each_with_an_error(home: Path) -> None:
    store_tiny_model(home, worker_flags="--die-mid-stream 3 --exit-code -9")
    with running(home, worker=FAKE_WORKER) as service:
        started = service.start()
        events = events_of(raw(started).post(STREAM).read_all())
        assert len(events) == 4
        error = json.loads(events[-1])["error"]
        assert error["code"] == "worker_crashed" and "out of memory" in error["details"]
        assert service.get("/health").status_code == 200


def test_requests_that_wait_for_a_slot_are_answered_by_the_next_model_of_a_switch(home: Path) -> None:
    store_tiny_model(home, worker_flags="--rate 20 --tokens 20")
    store_tiny_model(home, OTHER)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="1") as service:
        service.start()
        with ThreadPoolExecutor(4) as pool, service.gateway() as gateway:
            answers = [pool.submit(gateway.post, CHAT, json=HELLO) for _ in range(4)]
            eventually("three wait", lambda: waiting(service) == 3)
            assert service.post("/switch-model", {"model_name": OTHER}).status_code == 200
            models = [answer.result().json()["model"] for answer in answers]
        assert [answer.result().status_code for answer in answers] == [200] * 4
        assert sum(OTHER in model for model in models) == 3


def test_what_other_models_answer_when_the_server_gives_up_ends_with_an_error(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, OTHER, worker_flags=SLOW)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_RESTART_DELAYS_SECONDS="[]") as service:
        service.start()
        [own] = service.workers()
        with service.gateway() as gateway, ThreadPoolExecutor(2) as pool:
            body = {"model": OTHER, "messages": [{"role": "user", "content": "Hello"}]}
            plain = pool.submit(gateway.post, CHAT, json=body)
            with gateway.stream("POST", CHAT, json=body | {"stream": True}) as stream:
                lines = (line for line in stream.iter_lines() if line)
                next(lines)
                eventually("both run", lambda: len(service.get("/requests").json()["requests"]) == 2)
                own.kill()
                *_, last = lines
            answer = plain.result(30)
        assert service.status()["status"] == "error"
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "server_shutting_down"
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "server_shutting_down"
