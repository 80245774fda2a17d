"""Types and helpers for plain ASGI, used where no framework is involved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]


def headers_named(scope: Scope, name: bytes) -> list[bytes]:
    """All values of a header; `name` is in lower case, as in ASGI."""
    return [value for key, value in scope["headers"] if key == name]


async def send_whole(
    send: Send,
    status: int,
    body: bytes,
    headers: Iterable[Header] = (),
    content_type: bytes = b"application/json",
) -> None:
    """Send a complete response with its length."""
    fixed = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})
