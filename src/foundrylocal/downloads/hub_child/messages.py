"""What the child and the service exchange: the request on stdin, events on stdout, one JSON object per line.

Invariant: a line is written at once and completely, and contains no URL, token or path outside the cache.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

_MAX_REQUEST_BYTES = 4 * 1024 * 1024
_lock = threading.Lock()


class Failure(Exception):
    """Why the child gives up: `kind` is for the service, `text` for people.

    `may_retry` says that the same request may succeed later, after `retry_after_s` seconds at the earliest.
    """

    def __init__(
        self,
        kind: str,
        text: str,
        *,
        may_retry: bool = False,
        retry_after_s: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.may_retry = may_retry
        self.retry_after_s = retry_after_s
        self.facts = facts

    def as_event(self) -> dict[str, Any]:
        return {
            "event": "error",
            "kind": self.kind,
            "text": self.text,
            "may_retry": self.may_retry,
            "retry_after_s": self.retry_after_s,
            **self.facts,
        }


def emit(event: dict[str, Any]) -> None:
    """Write one event, from any thread; if the service is gone, this ends the child."""
    data = json.dumps(event, ensure_ascii=True).encode() + b"\n"
    with _lock:
        while data:
            data = data[os.write(1, data) :]


def read_request() -> dict[str, Any]:
    """The request, which is the first line on stdin; read byte by byte, so that nothing after it is consumed."""
    line = bytearray()
    while not line.endswith(b"\n"):
        data = os.read(0, 1)
        if not data or len(line) > _MAX_REQUEST_BYTES:
            raise SystemExit(2)
        line += data
    request: dict[str, Any] = json.loads(line)
    return request
