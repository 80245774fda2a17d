"""A request to a worker and its answer back: unbuffered, made to conform, cancelled with its client.

Invariant: after the first byte to the client a failure is an event of the stream, before it an error raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.to_thread
import msgspec

from foundrylocal.engine.client import Answer, AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address
from foundrylocal.errors import FoundryLocalError, InternalError, SystemExhausted
from foundrylocal.gateway.dialects.base import Rewriter
from foundrylocal.gateway.dialects.constrained.filters import ConstraintBroken
from foundrylocal.gateway.dialects.engine_errors import EngineFailed, error_in_event, error_of
from foundrylocal.gateway.dialects.events import split_events, whole_events
from foundrylocal.gateway.flow.answer_parts import AnswerInParts, ask_in_parts, split_answers
from foundrylocal.gateway.flow.slow_client import READER_TIMEOUT_S, given_up_when_stalled
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.web.asgi import Header, send_whole

_STREAM_HEADERS: list[Header] = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
_ERROR_MARK = b'"error":{'
_END_MARK = b"data: [DONE]\n\n"
WhyGone = Callable[[bool], Awaitable[Exception]]
"""Why a worker went away, given whether the answer has begun; only before that may it be NothingSent."""
Relay = Callable[[Address, InferenceRequest, WhyGone, float], Awaitable[None]]
"""What `relay` does, for a dispatcher that has other workers."""


class NothingSent(Exception):
    """The worker was not reached, or left on purpose before its answer began: another may try."""


async def relay(
    address: Address,
    request: InferenceRequest,
    why_gone: WhyGone,
    reader_timeout_s: float = READER_TIMEOUT_S,
) -> None:
    """Send the request to a worker and its answer to the client.

    Raises NothingSent, SystemExhausted (nothing was sent either), ClientStalled, and the error that the worker's
    answer or its end stands for.
    """
    try:
        async with _ask_engine(address, request) as answer:
            try:
                await answer.head()
            except AnswerBroken as error:
                raise await why_gone(False) from error
            is_stream = answer.content_type == "text/event-stream" and request.body.is_stream
            send = _send_stream if answer.status < 400 and is_stream else _send_answer
            with given_up_when_stalled(request.peer, reader_timeout_s):
                await send(answer, request, why_gone)
    except WorkerUnreachable as error:
        raise why_unsent(error) from error


def why_unsent(error: WorkerUnreachable) -> NothingSent | SystemExhausted:
    """What a failed connection means: the worker is gone, or the service itself is short of resources."""
    return SystemExhausted(error.reason) if error.is_own_shortage else NothingSent()


def _ask_engine(
    address: Address, request: InferenceRequest
) -> AbstractAsyncContextManager[Answer | AnswerInParts]:
    answers = request.body.answers_per_prompt
    if request.slots is not None and answers > request.slots:
        return ask_in_parts(address, request, split_answers(answers, request.slots))
    body = request.engine.body_for(address, request.answer_tokens, request.tag)
    return ask(address, request.engine.path, body)


async def _send_answer(answer: Answer | AnswerInParts, request: InferenceRequest, why_gone: WhyGone) -> None:
    try:
        raw = await answer.read()
    except AnswerBroken as error:
        raise await why_gone(False) from error
    if answer.status >= 400:
        raise error_of(answer.status, raw, request.body)
    stats = request.stats
    try:
        if request.engine.prefill:
            raw = request.engine.prefill.remove_from_answer(raw)
        if request.engine.new_filter is not None:
            raw = await anyio.to_thread.run_sync(request.engine.new_filter().whole, raw)
        whole = request.route.dialect.whole(raw, request.body, stats)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise EngineFailed("Its answer does not have the published form.") from error
    stats.note_outcome("ok")
    events = request.route.dialect.as_stream(whole, request.body) if request.body.is_stream else None
    if events is not None:
        await _begin(request)
        await end_stream(request, events)
        return
    stats.status = answer.status
    stats.note_first()
    request.is_answered = True
    await send_whole(request.send, answer.status, msgspec.json.encode(whole), stats.headers())


async def _send_stream(answer: Answer | AnswerInParts, request: InferenceRequest, why_gone: WhyGone) -> None:
    passage = _Passage(request)
    has_begun = False
    try:
        with request.peer.flow_control(answer.pause, answer.resume):
            # The answer begins with its first whole event: until then a failure has a status of its own.
            while not has_begun and (read := await answer.block()):
                if block := passage.events_of(read):
                    has_begun = True
                    await _begin(request)
                    await request.send({"type": "http.response.body", "body": block, "more_body": True})
            await answer.pour(passage)
    except (ConstraintBroken, SystemExhausted) as error:
        if not has_begun:
            raise
        await end_stream_with(error, request)
        return
    except AnswerBroken as error:
        reason = await why_gone(has_begun)
        if not has_begun:
            raise reason from error
        await end_stream_with(reason if isinstance(reason, FoundryLocalError) else InternalError(), request)
        return
    if not has_begun:
        await _begin(request)
    request.stats.note_outcome("ok")
    await end_stream(request)


async def end_stream(request: InferenceRequest, last: bytes = b"") -> None:
    """End a stream that has begun, with these last bytes; does nothing if it has ended."""
    if not request.is_answered:
        request.is_answered = True
        await request.send({"type": "http.response.body", "body": last})


async def end_stream_with(failure: FoundryLocalError, request: InferenceRequest) -> None:
    """End a stream that has begun with an error event."""
    request.stats.note_failure(failure)
    await end_stream(request, request.route.dialect.error_event(failure, request.rewriter))


async def send_idle_answer(request: InferenceRequest) -> None:
    """Answer a request that asks the engine nothing."""
    stats = request.stats
    stats.status = 200
    stats.note_outcome("ok")
    body = request.route.dialect.idle_answer(request.body)
    await send_whole(request.send, 200, msgspec.json.encode(body), stats.headers())


async def _begin(request: InferenceRequest) -> None:
    stats = request.stats
    stats.status = 200
    stats.note_first()
    content_type: Header = (b"content-type", request.route.dialect.stream_content_type)
    headers = [content_type, *_STREAM_HEADERS, *stats.headers()]
    await request.send({"type": "http.response.start", "status": 200, "headers": headers})


def _followed(rewrite: Rewriter, request: InferenceRequest) -> Rewriter:
    """The rewriter, behind what follows the engine's events when the answer has to keep a constraint."""
    if request.engine.new_filter is None:
        return rewrite
    follow = request.engine.new_filter().events

    def follow_and_rewrite(block: bytes) -> bytes:
        block = follow(block)
        return rewrite(block) if block else b""

    return follow_and_rewrite


class _Passage:
    """The way of a stream's bytes to the client. It is called for every token: nothing in it but bytes.

    The engine computes meanwhile, so each call finds its code out of the processor's caches: the fewer the better.
    """

    def __init__(self, request: InferenceRequest) -> None:
        request.rewriter = request.route.dialect.stream(request.body, request.stats)
        self._rewrite = _followed(request.rewriter, request)
        self._request = request
        self._stats = request.stats
        write = request.peer.write_chunk
        self._write = write if request.capture is None else request.capture.tee(write)
        self._rest = b""

    def __call__(self, read: bytes) -> None:
        if block := self.events_of(read):
            self._write(block)

    def events_of(self, read: bytes) -> bytes:
        """What the client gets of the events that have become whole."""
        block, self._rest = whole_events(self._rest, read)
        if not block:
            return b""
        self._stats.events += block.count(b"\n\n")
        for_client = (
            self._rewrite(block) if _ERROR_MARK not in block else self._with_errors(block, self._rewrite)
        )
        if block.endswith(_END_MARK):
            self._stats.note_outcome("ok")  # the engine is done: from here on nobody can end the answer
        return for_client

    def _with_errors(self, block: bytes, rewrite: Rewriter) -> bytes:
        """The same events; those in which the engine reports an error become the dialect's."""
        parts: list[bytes] = []
        for event in split_events(block):
            error = error_in_event(event, self._request.body)
            if error is None:
                parts.append(rewrite(event + b"\n\n"))
                continue
            self._stats.note_failure(error)
            parts.append(self._request.route.dialect.error_event(error, self._request.rewriter))
        return b"".join(parts)
