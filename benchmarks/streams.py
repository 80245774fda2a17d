"""One measured chat stream: raw HTTP and simple counting, so that the client takes little of two cores."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

PROMPT = "Write a long story about a lighthouse model_manager and the sea, with many details."
_TOKEN = re.compile(rb'"(?:delta":\{"content|text)":"[^"]')
STREAM_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Target:
    """Where to send requests: a UNIX socket or a local port; `asks` are additional fields of the request."""

    path: str
    socket: str | None = None
    port: int | None = None
    key: str | None = None
    asks: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One stream: seconds from sending to the first token and to the end, tokens, and SSE events."""

    first_token_s: float
    total_s: float
    tokens: int
    events: int


async def measure(
    target: Target, model: str | None, max_tokens: int, timeout_s: float = STREAM_TIMEOUT_S
) -> Measured:
    """Ask once, streamed; raises RuntimeError when the answer is not a whole stream."""
    async with asyncio.timeout(timeout_s):
        if target.socket:
            reader, writer = await asyncio.open_unix_connection(target.socket)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        try:
            began = time.perf_counter()
            writer.write(request(target, model, max_tokens))
            return await _read(reader, began)
        finally:
            writer.close()


def request(target: Target, model: str | None, max_tokens: int) -> bytes:
    """The complete request of a streamed chat, or of a text completion if the path is that of one."""
    is_chat = target.path.endswith("/chat/completions")
    asked = {"messages": [{"role": "user", "content": PROMPT}]} if is_chat else {"prompt": PROMPT}
    body: dict[str, object] = {
        **asked,
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        **target.asks,
    }
    if model:
        body["model"] = model
    data = json.dumps(body).encode()
    key = f"Authorization: Bearer {target.key}\r\n" if target.key else ""
    return (
        f"POST {target.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{key}"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
        + data
    )


async def _read(reader: asyncio.StreamReader, began: float) -> Measured:
    first_s: float | None = None
    tokens = events = 0
    rest = b""
    while b"data: [DONE]" not in rest:
        read = await reader.read(65536)
        if not read:
            raise RuntimeError(f"The stream broke off: {rest[-500:]!r}")
        *whole, rest = (rest + read).split(b"\n\n")
        tokens += sum(_TOKEN.search(event) is not None for event in whole)
        events += sum(b"data: " in event for event in whole)
        if tokens and first_s is None:
            first_s = time.perf_counter() - began
        if any(b"data: [DONE]" in event for event in whole):
            break
    if first_s is None:
        raise RuntimeError("The stream had no token")
    return Measured(first_s, time.perf_counter() - began, tokens, events)


async def _together(target: Target, model: str | None, max_tokens: int, clients: int) -> list[Measured]:
    return list(await asyncio.gather(*(measure(target, model, max_tokens) for _ in range(clients))))


def measure_clients(target: Target, model: str | None, max_tokens: int, clients: int) -> list[Measured]:
    """The same chat from several clients at once."""
    return asyncio.run(_together(target, model, max_tokens, clients))
