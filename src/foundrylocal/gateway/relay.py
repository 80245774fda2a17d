"""A request to a worker and its answer back: unbuffered, made to conform, cancelled with its client.

Invariant: after the first byte to the client a failure is an event of the stream, before it an error raised.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from foundrylocal.errors import FoundryLocalError, InternalError
from foundrylocal.gateway.assembly import assemble
from foundrylocal.gateway.conformance import complete
from foundrylocal.gateway.endpoints import Dialect, Endpoint
from foundrylocal.gateway.engine_errors import EngineRefused, error_event, error_of, error_of_object
from foundrylocal.gateway.figures import Figures
from foundrylocal.gateway.requests import Prepared
from foundrylocal.gateway.shapes import Body
from foundrylocal.gateway.streams import Rewriter, rewriter
from foundrylocal.gateway.structured import MessageStream, message_of
from foundrylocal.gateway.usage import is_assembled
from foundrylocal.web.asgi import Header, Send, send_whole

if TYPE_CHECKING:
    import aiohttp

READER_TIMEOUT_S = 60.0
_CHECKS_A_TIMEOUT = 4
_HEADERS = {"Content-Type": "application/json"}
_STREAM_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_ERROR_MARK = b'"error":{'


class NothingSent(Exception):
    """The worker was not reached, or left on purpose before its answer began: another may try."""


class ClientStalled(Exception):
    """The client took nothing for the reader's timeout."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with all that its way back needs.

    `cause(has_begun)` tells why a worker went away; only before the answer has begun is it NothingSent.
    """

    endpoint: Endpoint
    prepared: Prepared
    figures: Figures
    send: Send
    cause: Callable[[bool], Awaitable[Exception]]
    reader_timeout_s: float = READER_TIMEOUT_S


async def relay(session: aiohttp.ClientSession, exchange: Exchange) -> None:
    """Answer the client with what the worker says.

    Raises NothingSent, ClientStalled, and the error that the worker's answer or its end stands for.
    """
    import aiohttp

    try:
        response = await session.post(
            exchange.prepared.target, data=exchange.prepared.body, headers=_HEADERS, allow_redirects=False
        )
    except aiohttp.ClientConnectorError as error:
        raise NothingSent from error
    except (aiohttp.ClientError, OSError) as error:
        raise await exchange.cause(False) from error
    try:
        is_stream = response.content_type == "text/event-stream" and not is_assembled(exchange.prepared.asked)
        if response.status < 400 and is_stream:
            await _stream(response, exchange)
        else:
            await _whole(response, exchange)
    finally:
        response.close()


async def _whole(response: aiohttp.ClientResponse, exchange: Exchange) -> None:
    import aiohttp

    try:
        body = await response.read()
    except (aiohttp.ClientError, OSError) as error:
        raise await exchange.cause(False) from error
    if response.status >= 400:
        raise error_of(response.status, body, exchange.prepared)
    figures = exchange.figures
    try:
        answer: Any = (
            assemble(body, exchange.prepared, figures)
            if is_assembled(exchange.prepared.asked)
            else msgspec.json.decode(body)
        )
        if isinstance(answer, dict):
            figures.note_timings(answer.get("timings") or {})
            figures.note_usage(answer.get("usage") or {})
            answer = _conforming(answer, exchange)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise EngineRefused("Its answer is not what the API promises.") from error
    figures.status = response.status
    figures.note_first()
    figures.note_outcome("ok")
    sender = _Sender(exchange.send)
    data = msgspec.json.encode(answer)
    await sender.guard(
        lambda: send_whole(sender, response.status, data, figures.headers()), exchange.reader_timeout_s
    )


def _conforming(answer: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
    asked = exchange.prepared.asked
    if exchange.prepared.schema is not None:
        return message_of(answer, asked)
    return complete(exchange.endpoint.dialect, answer, asked, exchange.figures.context_size)


def _message_stream(dialect: Dialect, asked: Body, figures: Figures) -> Rewriter:
    return MessageStream(asked, figures)


async def _stream(response: aiohttp.ClientResponse, exchange: Exchange) -> None:
    sender = _Sender(exchange.send)
    await sender.guard(lambda: _pump(response, exchange, sender), exchange.reader_timeout_s)


async def _pump(response: aiohttp.ClientResponse, exchange: Exchange, send: _Sender) -> None:
    import aiohttp

    figures, dialect = exchange.figures, exchange.endpoint.dialect
    make = rewriter if exchange.prepared.schema is None else _message_stream
    rewrite = make(dialect, exchange.prepared.asked, figures)
    read, raw_send = response.content.readany, send.send
    rest = b""
    has_begun = False
    try:
        # The loop that runs for every token: nothing in it but bytes.
        while block := await read():
            block, rest = whole_events(rest, block)
            if not block:
                continue
            if not has_begun:
                has_begun = True
                await _begin(exchange, send)
            block = _with_errors(block, exchange, rewrite) if _ERROR_MARK in block else rewrite(block)
            figures.events += block.count(b"\n\n")
            send.is_sending = True
            await raw_send({"type": "http.response.body", "body": block, "more_body": True})
            send.is_sending = False
            send.sent += 1
    except (aiohttp.ClientError, OSError) as error:
        cause = await exchange.cause(has_begun)
        if not has_begun:
            raise cause from error
        failure = cause if isinstance(cause, FoundryLocalError) else InternalError()
        figures.note_outcome(failure.code)
        await send({"type": "http.response.body", "body": error_event(failure, dialect)})
        return
    if not has_begun:
        await _begin(exchange, send)
    figures.note_outcome("ok")
    await send({"type": "http.response.body", "body": b""})


def whole_events(rest: bytes, read: bytes) -> tuple[bytes, bytes]:
    """What is whole of the bytes so far, and the begin of an event whose end is still to come."""
    block = rest + read if rest else read
    if block.endswith(b"\n\n"):
        return block, b""
    cut = block.rfind(b"\n\n")
    return (block[: cut + 2], block[cut + 2 :]) if cut >= 0 else (b"", block)


async def _begin(exchange: Exchange, send: Send) -> None:
    figures = exchange.figures
    figures.status = 200
    figures.note_first()
    headers = [*_STREAM_HEADERS, *figures.headers()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def _with_errors(block: bytes, exchange: Exchange, rewrite: Rewriter) -> bytes:
    """The same events, those in which the engine tells of an error in our form."""
    parts: list[bytes] = []
    for event in block.split(b"\n\n")[:-1]:
        _, found, data = (b"\n" + event).partition(b"\ndata: ")
        if not found:
            _, found, data = (b"\n" + event).partition(b"\nerror: ")
        said = _error_in(data)
        if said is None:
            parts.append(rewrite(event + b"\n\n"))
            continue
        code = said.get("code")
        status = code if isinstance(code, int) and code >= 400 else 500
        error = error_of_object(status, said, str(said.get("message") or ""), exchange.prepared)
        exchange.figures.note_outcome(error.code)
        parts.append(error_event(error, exchange.endpoint.dialect))
    return b"".join(parts)


def _error_in(data: bytes) -> dict[str, Any] | None:
    try:
        body = json.loads(data)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    said = body.get("error") if "error" in body else None
    return said if isinstance(said, dict) else None


@dataclass(eq=False)
class _Sender:
    """Sends, and knows since when the client has taken nothing."""

    send: Send
    sent: int = 0
    is_sending: bool = False
    has_stalled: bool = False
    _timer: asyncio.TimerHandle | None = None

    async def __call__(self, message: Any) -> None:
        self.is_sending = True
        await self.send(message)
        self.is_sending = False
        self.sent += 1

    async def guard(self, work: Callable[[], Awaitable[None]], timeout_s: float) -> None:
        """Do the work; raises ClientStalled when one message could not be sent for the timeout.

        A timer beside the work and not a limit on each message: that would cost more than the message.
        """
        with anyio.CancelScope() as scope:
            self._look_later(timeout_s, scope, seen=-1, since_s=0.0)
            try:
                await work()
            finally:
                if self._timer is not None:
                    self._timer.cancel()
        if self.has_stalled:
            raise ClientStalled

    def _look_later(self, timeout_s: float, scope: anyio.CancelScope, seen: int, since_s: float) -> None:
        loop = asyncio.get_running_loop()
        wait_s = timeout_s / _CHECKS_A_TIMEOUT
        self._timer = loop.call_later(wait_s, self._look, timeout_s, scope, seen, since_s)

    def _look(self, timeout_s: float, scope: anyio.CancelScope, seen: int, since_s: float) -> None:
        now_s = asyncio.get_running_loop().time()
        if not self.is_sending or self.sent != seen:
            self._look_later(timeout_s, scope, self.sent, now_s)
        elif now_s - since_s < timeout_s:
            self._look_later(timeout_s, scope, seen, since_s)
        else:
            self.has_stalled = True
            scope.cancel()
