"""The log: recent entries, and what is logged from now on as a stream."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query

from foundrylocal.api.answers import json_answer
from foundrylocal.api.describe import StreamAnswer, describe_stream, refusals
from foundrylocal.api.services import Services, services
from foundrylocal.api.streams import EventStream, with_keepalive
from foundrylocal.errors import InvalidRequest
from foundrylocal.events import LogEntry
from foundrylocal.kit import sse
from foundrylocal.kit.clock import format_time, now_s
from foundrylocal.wire.server import LogLine

router = APIRouter(tags=["Logging"])
Ask = Annotated[Services, Depends(services)]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Source = Literal["FoundryLocalApiService", "FoundryLocalService", "HealthMonitor", "DownloadService", "API"]
_STREAM = (
    'data: {"timestamp":"2025-01-20T10:30:00Z","level":"INFO","message":"Server started",'
    '"source":"FoundryLocalApiService"}\nid: 1\n\n'
)


def _line(entry: LogEntry) -> dict[str, str]:
    return {
        "timestamp": format_time(entry.time),
        "level": entry.level,
        "message": entry.message,
        "source": entry.source,
    }


@router.get("/logs", response_model=list[LogLine], responses=refusals(InvalidRequest))
async def logs(
    ask: Ask,
    count: Annotated[int, Query(ge=1, le=10_000, description="How many entries, the newest ones.")] = 100,
    level: Annotated[Level | None, Query(description="Only this level.")] = None,
    source: Annotated[Source | None, Query(description="Only this source.")] = None,
) -> Any:
    """Recent log entries, oldest first."""
    return json_answer([_line(entry) for entry in ask.ring.recent(count, level=level, source=source)])


@router.get(
    "/logs/stream",
    response_class=StreamAnswer,
    responses=describe_stream(LogLine, _STREAM) | refusals(InvalidRequest),
)
async def stream_logs(
    ask: Ask,
    tail: Annotated[int, Query(ge=0, le=10_000, description="Begin with the last entries.")] = 0,
    last_event_id: Annotated[str | None, Header(description="Resume after this entry.")] = None,
) -> EventStream:
    """What is logged from the moment of connecting, as server-sent events."""
    is_number = last_event_id is not None and re.fullmatch(r"[0-9]{1,18}", last_event_id)
    after = int(last_event_id) if last_event_id and is_number else None
    lost, subscription = ask.ring.follow(tail=tail, after=after)

    async def chunks() -> AsyncIterator[bytes]:
        with subscription as events:
            yield b": connected\n\n"
            if lost is None:
                yield _gap("The service was started anew; lines before that are in its log files")
            elif lost:
                yield _lost(lost)
            async for entry in with_keepalive(events):
                if dropped := events.take_dropped():
                    yield _lost(dropped)
                yield sse.KEEPALIVE if entry is None else sse.encode(_line(entry), number=entry.number)

    return EventStream(chunks())


def _lost(count: int) -> bytes:
    """The gap, in the stream's own shape, so that every published client shows it."""
    return _gap(f"{count} log lines were dropped: this reader was too slow")


def _gap(message: str) -> bytes:
    return sse.encode(
        {"timestamp": format_time(now_s()), "level": "WARNING", "message": message, "source": "API"}
    )
