"""What PowerShell's web clients put on the wire, byte for byte."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.running import BASE_MODEL, CHAT_MODEL, Service

requirement = pytest.mark.requirement
BASE = "/iblink/v1/foundry-local"
AGENT = "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1"


class Connection:
    """A kept-alive connection that sends raw bytes."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.sock.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def head(self, method: str, path: str, **headers: str) -> None:
        lines = [f"{method} {BASE}{path} HTTP/1.1", f"User-Agent: {AGENT}", "Host: localhost:9500"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def status_line(self) -> str:
        return self.file.readline().decode().strip()

    def answer(self) -> tuple[int, Any]:
        status = int(self.status_line().split()[1])
        length = 0
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            if name.lower() == "content-length":
                length = int(value)
        return status, json.loads(self.file.read(length))


@requirement("powershell.bytes")
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_expect_and_a_byte_order_mark(api: Service, mark: bytes) -> None:
    body = mark + json.dumps({"model_name": CHAT_MODEL}, indent=4).replace("\n", "\r\n").encode()
    with Connection(api.port) as connection:
        connection.head(
            "POST",
            "/start",
            Content_Type="application/json",
            Expect="100-continue",
            Content_Length=str(len(body)),
            Connection="Keep-Alive",
        )
        assert connection.status_line() == "HTTP/1.1 100 Continue"
        assert connection.status_line() == ""
        connection.sock.sendall(body)
        status, started = connection.answer()
        assert (status, started["message"]) == (200, "Server started successfully")
        # The same connection goes on: a POST without a body carries a form's content type.
        connection.head("POST", "/stop", Content_Type="application/x-www-form-urlencoded", Content_Length="0")
        assert connection.answer() == (200, {"success": True, "message": "Server stopped successfully"})


@requirement("powershell.bytes")
@pytest.mark.parametrize("path", ["/stop", "/models/unload-all", f"/models/{CHAT_MODEL}/download", "/config"])
def test_a_post_without_a_body(api: Service, path: str) -> None:
    with Connection(api.port) as connection:
        connection.head(
            "POST",
            path,
            Content_Type="application/x-www-form-urlencoded",
            Expect="100-continue",
            Content_Length="0",
        )
        line = connection.status_line()
        if line == "HTTP/1.1 100 Continue":
            assert connection.status_line() == ""
            line = connection.status_line()
        assert line == "HTTP/1.1 200 OK"


@requirement("powershell.bytes")
@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "text/json"],
)
def test_any_content_type(api: Service, kind: str) -> None:
    body = json.dumps({"parallel": 3}).encode()
    with Connection(api.port) as connection:
        connection.head("POST", "/config", Content_Type=kind, Content_Length=str(len(body)))
        connection.sock.sendall(body)
        status, answer = connection.answer()
    assert (status, answer["parallel"]) == (200, 3)


@requirement("tip.8")
def test_already_running_so_switch(running_api: Service) -> None:
    body = json.dumps({"model_name": BASE_MODEL}).encode()
    headers = {"Content_Type": "application/json", "Content_Length": str(len(body))}
    with Connection(running_api.port) as connection:
        connection.head("POST", "/start", **headers)
        connection.sock.sendall(body)
        status, refused = connection.answer()
        assert (status, refused["error"]["code"]) == (409, "server_already_running")
        connection.head("POST", "/switch-model", **headers)
        connection.sock.sendall(body)
        status, switched = connection.answer()
    assert (status, switched["model"]) == (200, BASE_MODEL)
