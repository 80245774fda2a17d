"""A request to a worker and its answer back: unbuffered, made to conform, cancelled with its client.

Invariant: after the first byte to the client a failure is an event of the stream, before it an error raised.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from foundrylocal.engine.client import Answer, AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address as ReplicaAddress
from foundrylocal.errors import FoundryLocalError, InternalError
from foundrylocal.gateway.dialects.anthropic.structured import MessageStream, message_of
from foundrylocal.gateway.dialects.assembly import assemble
from foundrylocal.gateway.dialects.conformance import complete
from foundrylocal.gateway.dialects.engine_errors import EngineRefused, error_event, error_of, error_of_object
from foundrylocal.gateway.dialects.requests import Prepared
from foundrylocal.gateway.dialects.shapes import Body
from foundrylocal.gateway.dialects.streams import Rewriter, rewriter
from foundrylocal.gateway.dialects.usage import is_assembled
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S, given_up_when_stalled
from foundrylocal.gateway.routes import Dialect, Route
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.web.asgi import Header, Send, send_whole
from foundrylocal.web.connection import Peer

_STREAM_HEADERS: list[Header] = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_ERROR_MARK = b'"error":{'


class NothingSent(Exception):
    """The worker was not reached, or left on purpose before its answer began: another may try."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with all that its way back needs.

    `cause(has_begun)` tells why a worker went away; only before the answer has begun is it NothingSent.
    """

    endpoint: Route
    prepared: Prepared
    stats: RequestStats
    send: Send
    peer: Peer
    cause: Callable[[bool], Awaitable[Exception]]
    reader_timeout_s: float = READER_TIMEOUT_S


async def relay(endpoint: ReplicaAddress, exchange: Exchange) -> None:
    """Answer the client with what the worker says.

    Raises NothingSent, ClientStalled, and the error that the worker's answer or its end stands for.
    """
    asked = exchange.prepared.asked
    try:
        async with ask(endpoint, exchange.prepared.target, exchange.prepared.body) as answer:
            try:
                await answer.head()
            except AnswerBroken as error:
                raise await exchange.cause(False) from error
            is_stream = answer.content_type == "text/event-stream" and not is_assembled(asked)
            with given_up_when_stalled(exchange.peer, exchange.reader_timeout_s):
                await (_stream if answer.status < 400 and is_stream else _whole)(answer, exchange)
    except WorkerUnreachable as error:
        raise NothingSent from error


async def _whole(response: Answer, exchange: Exchange) -> None:
    try:
        body = await response.read()
    except AnswerBroken as error:
        raise await exchange.cause(False) from error
    if response.status >= 400:
        raise error_of(response.status, body, exchange.prepared)
    stats = exchange.stats
    try:
        answer: Any = (
            assemble(body, exchange.prepared, stats)
            if is_assembled(exchange.prepared.asked)
            else msgspec.json.decode(body)
        )
        if isinstance(answer, dict):
            stats.note_timings(answer.get("timings") or {})
            stats.note_usage(answer.get("usage") or {})
            answer = _conforming(answer, exchange)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise EngineRefused("Its answer is not what the API promises.") from error
    stats.status = response.status
    stats.note_first()
    stats.note_outcome("ok")
    await send_whole(exchange.send, response.status, msgspec.json.encode(answer), stats.headers())


def _conforming(answer: dict[str, Any], exchange: Exchange) -> dict[str, Any]:
    asked = exchange.prepared.asked
    if exchange.prepared.schema is not None:
        return message_of(answer, asked)
    return complete(exchange.endpoint.dialect, answer, asked, exchange.stats.context_size)


def _message_stream(dialect: Dialect, asked: Body, stats: RequestStats) -> Rewriter:
    return MessageStream(asked, stats)


async def _stream(answer: Answer, exchange: Exchange) -> None:
    passage = _Passage(exchange)
    has_begun = False
    try:
        with exchange.peer.held_back(answer.pause, answer.resume):
            # The answer begins with its first whole event: until then a failure has a status of its own.
            while not has_begun and (read := await answer.block()):
                if block := passage.events_of(read):
                    has_begun = True
                    await _begin(exchange)
                    await exchange.send({"type": "http.response.body", "body": block, "more_body": True})
            await answer.pour(passage)
    except AnswerBroken as error:
        cause = await exchange.cause(has_begun)
        if not has_begun:
            raise cause from error
        failure = cause if isinstance(cause, FoundryLocalError) else InternalError()
        exchange.stats.note_outcome(failure.code)
        body = error_event(failure, exchange.endpoint.dialect)
        await exchange.send({"type": "http.response.body", "body": body})
        return
    if not has_begun:
        await _begin(exchange)
    exchange.stats.note_outcome("ok")
    await exchange.send({"type": "http.response.body", "body": b""})


class _Passage:
    """The way of a stream's bytes to the client. It is called for every token: nothing in it but bytes.

    The engine computes meanwhile, so each call finds its code out of the processor's caches: the fewer the better.
    """

    def __init__(self, exchange: Exchange) -> None:
        make = rewriter if exchange.prepared.schema is None else _message_stream
        self._rewrite = make(exchange.endpoint.dialect, exchange.prepared.asked, exchange.stats)
        self._exchange = exchange
        self._figures = exchange.stats
        self._write = exchange.peer.write_chunk
        self._rest = b""

    def __call__(self, read: bytes) -> None:
        if block := self.events_of(read):
            self._write(block)

    def events_of(self, read: bytes) -> bytes:
        """What the client gets of the events that have become whole."""
        block, self._rest = whole_events(self._rest, read)
        if not block:
            return b""
        is_plain = _ERROR_MARK not in block
        block = self._rewrite(block) if is_plain else _with_errors(block, self._exchange, self._rewrite)
        self._figures.events += block.count(b"\n\n")
        return block


def whole_events(rest: bytes, read: bytes) -> tuple[bytes, bytes]:
    """What is whole of the bytes so far, and the begin of an event whose end is still to come."""
    block = rest + read if rest else read
    if block.endswith(b"\n\n"):
        return block, b""
    cut = block.rfind(b"\n\n")
    return (block[: cut + 2], block[cut + 2 :]) if cut >= 0 else (b"", block)


async def _begin(exchange: Exchange) -> None:
    stats = exchange.stats
    stats.status = 200
    stats.note_first()
    headers = [*_STREAM_HEADERS, *stats.headers()]
    await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})


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
        exchange.stats.note_outcome(error.code)
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
