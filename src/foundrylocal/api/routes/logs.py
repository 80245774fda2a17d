"""Logs: recent lines, and a stream of what is logged from now on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Header, Query, Response

from foundrylocal.api.describe import StreamAnswer, describe_stream, refusals
from foundrylocal.api.services import ServicesDep
from foundrylocal.api.streams import KEEPALIVE_S, EventStream
from foundrylocal.errors import InvalidRequest
from foundrylocal.kit import sse
from foundrylocal.kit.clock import now_s
from foundrylocal.logs.ring import LogReader, render_line
from foundrylocal.settings.schema import LogLevel
from foundrylocal.wire.server import LogLine

PACE_S = 0.05
router = APIRouter(tags=["Logging"])
Source = Literal["FoundryLocalApiService", "FoundryLocalService", "HealthMonitor", "DownloadService", "API"]
_STREAM = (
    'data: {"timestamp":"2025-01-20T10:30:00Z","level":"INFO","message":"Server started",'
    '"source":"FoundryLocalApiService"}\nid: 1\n\n'
)


@router.get("/logs", response_model=list[LogLine], responses=refusals(InvalidRequest))
async def logs(
    services: ServicesDep,
    count: Annotated[int, Query(ge=1, le=10_000, description="Maximum number of entries.")] = 100,
    level: Annotated[LogLevel | None, Query(description="Only entries of this level.")] = None,
    source: Annotated[Source | None, Query(description="Only entries from this source.")] = None,
) -> Any:
    """Recent log entries, oldest first."""
    lines = services.ring.recent(count, level=level, source=source)
    return Response(b"[%b]" % b",".join(line.json for line in lines), media_type="application/json")


@router.get(
    "/logs/stream",
    response_class=StreamAnswer,
    responses=describe_stream(LogLine, _STREAM) | refusals(InvalidRequest),
)
async def stream_logs(
    services: ServicesDep,
    tail: Annotated[int, Query(ge=0, le=10_000, description="Start with the last entries.")] = 0,
    last_event_id: Annotated[str | None, Header(description="Resume after this entry.")] = None,
) -> EventStream:
    """New log entries as server-sent events."""
    is_number = last_event_id is not None and re.fullmatch(r"[0-9]{1,18}", last_event_id)
    after = int(last_event_id) if last_event_id and is_number else None
    return EventStream(_events(services.ring.follow(tail=tail, after=after)))


async def _events(reader: LogReader, pace_s: float = PACE_S) -> AsyncIterator[bytes]:
    yield b": connected\n\n"
    if reader.is_new_run:
        yield _notice("The service was restarted; earlier lines are in its log files")
    while True:
        has_more = None
        with anyio.move_on_after(KEEPALIVE_S):
            has_more = await reader.wait()
        if has_more is None:
            yield sse.KEEPALIVE
            continue
        if not has_more:
            return
        if lost := reader.take_lost():
            yield _notice(f"{lost} log lines were dropped: this reader was too slow")
        yield b"".join(line.event for line in reader.take_batch())
        # A reader that is behind has its next batch at once, but others get a turn first. One that has caught up
        # waits a moment for the lines that come close together: a write for each would cost more than the lines.
        await anyio.sleep(0 if reader.is_behind else pace_s)


def _notice(message: str) -> bytes:
    """A gap in the stream, in the shape of a log entry, so that every published client shows it."""
    return sse.frame(render_line(now_s(), "WARNING", message, "API"))
