"""HTTP/1.0 clients and absolute request targets, on both ports."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.process.gateway.raw import CHAT, HELLO
from tests.running import BASE_PATH, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model


def exchange(port: int, request: bytes) -> tuple[str, dict[str, str], bytes]:
    """Send a request and read until the service closes: status line, headers in lower case, body."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request)
        data = b""
        while more := connection.recv(65536):
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return status, headers, body


def request(method: str, target: str, body: object = None, version: str = "1.0", **headers: str) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    named = {"Host": "localhost", "Content-Length": str(len(data)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {target} HTTP/{version}\r\n{lines}\r\n".encode() + data


def is_unframed(headers: dict[str, str]) -> bool:
    return "transfer-encoding" not in headers and headers["connection"] == "close"


def test_a_stream_of_the_management_api_is_unframed_for_http_1_0(service: Service) -> None:
    body = {"model_name": CHAT_MODEL}
    status, headers, data = exchange(service.port, request("POST", f"{BASE_PATH}/start-stream", body))
    assert " 200 " in status and is_unframed(headers) and "content-length" not in headers
    events = [json.loads(part.removeprefix(b"data: ")) for part in data.split(b"\n\n") if part]
    assert events[-1]["type"] == "success" and data.startswith(b"data: ")


@pytest.mark.parametrize("is_stream", [True, False])
def test_answers_of_the_gateway_are_unframed_for_http_1_0(service: Service, is_stream: bool) -> None:
    started = service.start()
    proof = {"Authorization": f"Bearer {started['api_key']}"}
    status, headers, data = exchange(
        started["port"], request("POST", CHAT, HELLO | {"stream": is_stream}, **proof)
    )
    assert " 200 " in status and is_unframed(headers)
    if is_stream:
        lines = [line for line in data.split(b"\n") if line]
        assert all(line.startswith((b"data: ", b":")) for line in lines) and lines[-1] == b"data: [DONE]"
    else:
        assert json.loads(data)["choices"]
        assert len(data) == int(headers.get("content-length", len(data)))


STREAMS: dict[str, dict[str, object]] = {
    CHAT: HELLO | {"stream": True},
    "/v1/completions": {"prompt": "Hi", "stream": True},
    "/v1/messages": HELLO | {"max_tokens": 12, "stream": True},
    "/v1/responses": {"input": "Hi", "stream": True},
    "/api/chat": HELLO | {"model": CHAT_MODEL},
}


def test_streams_that_come_in_pieces_are_unframed_in_every_dialect(home: Path) -> None:
    # The first piece and those after it go to the client by different ways.
    store_tiny_model(home, worker_flags="--rate 60 --tokens 12")
    with running(home, worker=FAKE_WORKER) as service:
        started = service.start()
        proof = {"Authorization": f"Bearer {started['api_key']}"}
        for path, body in STREAMS.items():
            status, headers, data = exchange(started["port"], request("POST", path, body, **proof))
            assert " 200 " in status and is_unframed(headers), path
            lines = [line for line in data.split(b"\n") if line]
            starts = (b"{",) if path == "/api/chat" else (b"data: ", b"event: ", b":")
            assert len(lines) > 12 and all(line.startswith(starts) for line in lines), (path, data[:2000])


def test_plain_answers_and_errors_end_with_the_connection(service: Service) -> None:
    for target, expected in ((f"{BASE_PATH}/health", 200), ("/nothing", 404), ("/metrics", 404)):
        status, headers, data = exchange(service.port, request("GET", target))
        assert f" {expected} " in status and is_unframed(headers)
        assert len(data) == int(headers["content-length"])


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("http://other.example/", "localhost", 403),
        ("http://other.example/", "other.example", 403),
        ("http://localhost@other.example/", "localhost", 403),
        ("https://other.example:443/x?y", "localhost", 403),
        ("http://127.0.0.1:9500" + BASE_PATH + "/health", "localhost", 200),
        ("http://localhost" + BASE_PATH + "/health", "other.example", 200),
    ],
)
def test_the_host_of_an_absolute_target_decides_on_both_ports(
    service: Service, target: str, host: str, expected: int
) -> None:
    started = service.start()
    for port in (service.port, started["port"]):
        asked = target if port == service.port else target.replace(BASE_PATH, "")
        named = {"Host": host, "Connection": "close"}
        status, _, data = exchange(port, request("GET", asked, version="1.1", **named))
        assert f" {expected} " in status, (status, data)


def test_what_is_no_target_of_ours_is_refused(service: Service) -> None:
    for line in (
        "CONNECT other.example:80",
        "GET other.example",
        "OPTIONS *",
        "GET http://",
        "GET http://other.example",
    ):
        status, _, _ = exchange(
            service.port, f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert int(status.split()[1]) in (400, 403, 404, 405), (line, status)
