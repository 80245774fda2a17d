"""Bytes through: a request to a worker and its answer back, unbuffered, cancelled with its client.

Invariant: after the first byte to the client a failure is an event of the stream, before it a status.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from foundrylocal.errors import FoundryLocalError, WorkerCrashed
from foundrylocal.web.asgi import Header, Receive, Send, send_whole
from foundrylocal.web.errors import error_object

if TYPE_CHECKING:
    import aiohttp

READER_TIMEOUT_S = 60.0
_PASSED_TO_WORKER = frozenset({b"content-type", b"accept"})
# Of the connection, not of the answer; and what the engine says of itself and of who may call.
_NOT_PASSED_BACK = frozenset(
    {
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
        "server",
        "date",
        "trailer",
        "upgrade",
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request for a worker, read whole."""

    method: str
    target: str
    headers: list[Header]
    body: bytes


class NothingSent(Exception):
    """The worker went away before anything of its answer reached the client."""


class ClientStalled(Exception):
    """The client took nothing for READER_TIMEOUT_S."""


async def relay(
    session: aiohttp.ClientSession,
    request: Request,
    receive: Receive,
    send: Send,
    cause: Callable[[], FoundryLocalError],
) -> None:
    """Answer the client with what the worker says; `cause` tells why a worker went away.

    Returns when all is sent or the client is gone. Raises NothingSent when another worker may try.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(_watch_client, receive, group.cancel_scope)
        await _exchange(session, request, send, cause)
        group.cancel_scope.cancel()


async def _watch_client(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _exchange(
    session: aiohttp.ClientSession, request: Request, send: Send, cause: Callable[[], FoundryLocalError]
) -> None:
    import aiohttp
    from yarl import URL

    headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
    try:
        response = await session.request(
            request.method,
            URL(request.target, encoded=True),
            data=request.body or None,
            headers=headers,
            allow_redirects=False,
        )
    except aiohttp.ClientConnectorError as error:
        raise NothingSent from error
    except (aiohttp.ClientError, OSError) as error:
        raise cause() from error
    try:
        if response.content_type == "text/event-stream":
            await _stream(response, send, cause)
        else:
            try:
                body = await response.read()
            except (aiohttp.ClientError, OSError) as error:
                raise cause() from error
            kind = response.headers.get("Content-Type", "application/json").encode("latin-1")
            await send_whole(send, response.status, body, _headers_back(response), kind)
    finally:
        response.close() if not response.closed else None


def _headers_back(response: aiohttp.ClientResponse) -> list[Header]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
        if name.lower() not in _NOT_PASSED_BACK
        and name.lower() != "content-type"
        and not name.lower().startswith("access-control-")
    ]


async def _stream(
    response: aiohttp.ClientResponse, send: Send, cause: Callable[[], FoundryLocalError]
) -> None:
    import aiohttp

    headers = [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
        *(pair for pair in _headers_back(response) if pair[0] != b"cache-control"),
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    read = response.content.readany
    tail = b"\n\n"
    try:
        # The one loop that runs for every token: nothing in it but bytes.
        while chunk := await read():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            tail = chunk
    except (aiohttp.ClientError, OSError):
        await send({"type": "http.response.body", "body": _last_event(tail, cause())})
        return
    await send({"type": "http.response.body", "body": b""})


def _last_event(tail: bytes, error: FoundryLocalError) -> bytes:
    """The failure as an event of its own, whatever half a line the worker left."""
    begin = b"" if tail.endswith(b"\n\n") else b"\n\n"
    return begin + b"data: " + json.dumps({"error": error_object(error)}).encode() + b"\n\n"


def crashed(reason: str | None) -> WorkerCrashed:
    return WorkerCrashed(reason or "It closed the connection.")


def headers_for_worker(headers: list[Header]) -> list[Header]:
    """The few that matter to the engine; keys, cookies and origins stay here."""
    return [(name, value) for name, value in headers if name in _PASSED_TO_WORKER]
