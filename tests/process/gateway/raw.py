"""A client that speaks HTTP by hand, so that it can break off, stall and lie; and a look into a worker."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import httpx

from tests.running import Service

CONNECT_TIMEOUT_S = 10.0
CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


class Raw:
    """One connection to the gateway."""

    def __init__(self, port: int, key: str, *, receive_buffer: int | None = None) -> None:
        self.key = key
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(CONNECT_TIMEOUT_S)
        self.socket.connect(("127.0.0.1", port))

    def post(self, body: dict[str, Any], path: str = CHAT, **headers: str) -> Raw:
        data = json.dumps(body).encode()
        named = {"Content-Length": str(len(data)), "Connection": "close"} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.key}\r\n{lines}\r\n"
        self.socket.sendall(head.encode() + data)
        return self

    def read_until(self, mark: bytes) -> bytes:
        """What comes, up to and with the mark; everything when the connection ends before it."""
        seen = b""
        while mark not in seen:
            more = self.socket.recv(65536)
            if not more:
                break
            seen += more
        return seen

    def read_all(self) -> bytes:
        return self.read_until(b"\0never\0")

    def drop(self) -> None:
        """Go away as a killed program does: at once, and with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def raw(started: dict[str, Any], **options: Any) -> Raw:
    """A connection to the server that a /start answer tells of."""
    return Raw(started["port"], started["api_key"], **options)


def ask_worker(service: Service, path: str) -> Any:
    """A question to the newest worker itself, past the gateway."""
    folder = service.run_folder()
    assert folder is not None
    newest = max(folder.glob("*.sock"), key=lambda found: int(found.stem))
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(newest)), timeout=10) as client:
        return client.get(f"http://worker{path}").json()


def busy_slots(service: Service) -> int:
    return sum(slot["is_processing"] for slot in ask_worker(service, "/slots"))


def events_of(stream: bytes) -> list[str]:
    """The data of the events of a raw (chunked) answer."""
    return [line[6:].decode() for line in stream.split(b"\n") if line.startswith(b"data: ")]


def waiting(service: Service) -> int:
    """How many requests stand in line, by the service's own stats."""
    text = service.get("/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("foundrylocal_requests_waiting{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines)
