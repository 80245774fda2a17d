"""Operations as server-sent events: the streaming view of what a blocking call waits for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any, TypeVar

import anyio
from fastapi.responses import StreamingResponse

from foundrylocal.errors import FoundryLocalError, InternalError
from foundrylocal.events import Event, Failed, Measure, Progress, Succeeded
from foundrylocal.kit import sse
from foundrylocal.kit.broadcast import Subscription
from foundrylocal.kit.operation import Operation
from foundrylocal.web.asgi import Receive, Scope, Send
from foundrylocal.web.errors import error_object
from foundrylocal.web.peer import PEER_EXTENSION

KEEPALIVE_S = 15.0
T = TypeVar("T")


class EventStream(StreamingResponse):
    """`text/event-stream`, not cached, not compressed, not buffered by a proxy."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        super().__init__(
            chunks,
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Nothing gathers for its reader but one chunk, so it may pause: its events are dropped, or wait elsewhere.
        scope["extensions"][PEER_EXTENSION]["peer"].may_stall = True
        await super().__call__(scope, receive, send)


async def with_keepalive(events: Subscription[T], period_s: float = KEEPALIVE_S) -> AsyncIterator[T | None]:
    """Yield the events, and None after each period without one."""
    while True:
        item: T | None = None
        try:
            with anyio.move_on_after(period_s):
                item = await anext(events)
        except StopAsyncIteration:
            return
        yield item


def stream_operation(operation: Operation[T], body: Callable[[T], dict[str, Any]]) -> EventStream:
    """Stream an operation until its outcome; `body` renders the result as the plain call would return it."""

    async def chunks() -> AsyncIterator[bytes]:
        with operation.watch() as events:
            async for event in with_keepalive(events):
                yield sse.KEEPALIVE if event is None else sse.encode(_render(event, body))

    return EventStream(chunks())


def measured(measure: Measure) -> dict[str, Any]:
    """A measure as JSON, without unknown values."""
    return {name: value for name, value in asdict(measure).items() if value is not None}


def _render(event: Event, body: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    match event:
        case Progress(message, None):
            return {"type": "progress", "message": message}
        case Progress(message, measure):
            assert measure is not None  # noqa: S101 - the case before took None
            return {"type": "progress", "message": message, "progress": measured(measure)}
        case Succeeded(message, result):
            return {"type": "success", "message": message, "data": body(result)}
        case Failed(error):
            known_error = error if isinstance(error, FoundryLocalError) else InternalError()
            return {"type": "error", "message": known_error.message, "error": error_object(known_error)}
