"""Bodies of requests and answers, kept for people who debug their own application; off unless a setting asks.

Invariant: they are in memory only, at most `limit()` of them and MAX_CAPTURED_BYTES of each body, and gone as soon as
the setting is 0 again. Nothing else holds a prompt once its request has ended.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from foundrylocal.web.asgi import Message, Send

MAX_CAPTURED_BYTES = 256 * 1024
Write = Callable[[bytes], None]


class Capture:
    """The bodies of one request, each cut to MAX_CAPTURED_BYTES."""

    def __init__(self, request: bytes) -> None:
        self._request = request[:MAX_CAPTURED_BYTES]
        self._is_cut = len(request) > MAX_CAPTURED_BYTES
        self._answer = bytearray()

    def tee(self, write: Write) -> Write:
        """The same as `write`, and what is written is kept."""

        def write_and_keep(data: bytes) -> None:
            self._keep(data)
            write(data)

        return write_and_keep

    def tee_send(self, send: Send) -> Send:
        """The same as `send`, and the bodies that are sent are kept."""

        async def send_and_keep(message: Message) -> None:
            if message["type"] == "http.response.body":
                self._keep(message.get("body", b""))
            await send(message)

        return send_and_keep

    def render(self) -> dict[str, Any]:
        """Both bodies: as JSON where they are JSON, otherwise as text."""
        return {
            "request": _decoded(self._request),
            "answer": _decoded(bytes(self._answer)) if self._answer else None,
            "is_cut": self._is_cut,
        }

    def _keep(self, data: bytes) -> None:
        room = MAX_CAPTURED_BYTES - len(self._answer)
        self._is_cut = self._is_cut or len(data) > room
        self._answer += data[:room]


class Captures:
    """Owner of the captured bodies, by request id; the oldest leaves first."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, Capture] = OrderedDict()
        self._lock = threading.Lock()  # a change of the setting trims in a thread

    def begin(self, request_id: str, body: bytes) -> Capture | None:
        """Keep the bodies of a request from now on; None when the setting is off."""
        if self._limit() <= 0:
            return None
        capture = Capture(body)
        with self._lock:
            self._kept[request_id] = capture
        self.trim()
        return capture

    def get(self, request_id: str) -> Capture | None:
        return self._kept.get(request_id)

    def trim(self) -> None:
        """Drop what is over the limit."""
        with self._lock:
            while len(self._kept) > max(0, self._limit()):
                self._kept.popitem(last=False)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
