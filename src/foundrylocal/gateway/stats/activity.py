"""The record of running and recent requests: their figures, never their content.

Invariant: an entry holds numbers, our own words and what the client calls itself, never a prompt or an answer. At
most `limit()` ended requests are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import anyio

from foundrylocal.errors import FoundryLocalError, OperationCancelled
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.keys.errors import KeyRevoked
from foundrylocal.kit.clock import format_time

RECENT_IN_SUMMARY = 10


class RequestEnded(OperationCancelled):
    """An administrator ended the request with DELETE /requests/{id}."""

    code = "request_ended"

    def __init__(self) -> None:
        super().__init__("The request")
        self.message = "The request was ended"
        self.details = "An administrator of this service ended it. Send it again, or ask them why."


class RunningRequest:
    """A request that has not ended; its work runs within `scope`."""

    def __init__(self, stats: RequestStats) -> None:
        self.stats = stats
        self.scope = anyio.CancelScope()
        self.ended_with: FoundryLocalError | None = None

    def end(self, error: FoundryLocalError) -> None:
        """End it; its client gets the error."""
        if self.ended_with is None:
            self.ended_with = error
            self.scope.cancel()


class Activity:
    """Owner of the record."""

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._running: dict[str, RunningRequest] = {}
        self._ended: deque[RequestStats] = deque()
        self._ended_count = 0

    @contextmanager
    def running(self, stats: RequestStats) -> Iterator[RunningRequest]:
        """A request for the duration of the block; it is kept among the ended ones afterwards."""
        request = self._running[stats.id] = RunningRequest(stats)
        try:
            yield request
        finally:
            del self._running[stats.id]
            self._ended.append(stats)
            self._ended_count += 1
            while len(self._ended) > self._limit():
                self._ended.popleft()

    def end(self, request_id: str) -> bool:
        """End a running request; False when none with that id is running."""
        request = self._running.get(request_id)
        if request is None:
            return False
        request.end(RequestEnded())
        return True

    def end_of_key(self, name: str) -> None:
        """End what a revoked key runs and what it has waiting."""
        for request in list(self._running.values()):
            if request.stats.key == name:
                request.end(KeyRevoked())

    def find(self, request_id: str) -> dict[str, Any] | None:
        """The entry with that id; None if there is none, or no longer."""
        running = self._running.get(request_id)
        if running is not None:
            return render_entry(running.stats)
        return next((render_entry(stats) for stats in self._ended if stats.id == request_id), None)

    def entries(
        self, limit: int, model_id: str | None = None, key: str | None = None, status: str | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """The newest entries that match, running ones first, and how many match in all."""
        found = [
            stats
            for stats in self._newest_first()
            if model_id in (None, stats.model_id)
            and key in (None, stats.key)
            and status in (None, status_name(stats))
        ]
        return [render_entry(stats) for stats in found[:limit]], len(found)

    def summary(self) -> dict[str, Any]:
        """For the event stream: the running requests, the last finished ones, and how many finished in all."""
        recent = islice(reversed(self._ended), RECENT_IN_SUMMARY)
        return {
            "running": [render_entry(request.stats) for request in self._running.values()],
            "recent": [render_entry(stats) for stats in recent],
            "ended_count": self._ended_count,
        }

    def _newest_first(self) -> Iterator[RequestStats]:
        for request in reversed(self._running.values()):
            yield request.stats
        yield from reversed(self._ended)


def status_name(stats: RequestStats) -> str:
    """`waiting`, `running`, `ok`, `cancelled` (by its client or an administrator) or `failed`."""
    if not stats.has_ended:
        return "running" if stats.has_slot else "waiting"
    if stats.outcome in ("cancelled", RequestEnded.code):
        return "cancelled"
    return "ok" if stats.outcome == "ok" else "failed"


def render_entry(stats: RequestStats) -> dict[str, Any]:
    """The entry as the API publishes it; what is not known (yet) is null."""
    has_failed = stats.has_ended and stats.outcome not in ("ok", "cancelled")
    rate = stats.tokens_per_s if stats.has_ended else None
    return {
        "id": stats.id,
        "at": format_time(stats.at_s),
        "key": stats.key,
        "model": stats.model_name or None,
        "model_id": stats.model_id or None,
        "endpoint": stats.endpoint,
        "status": status_name(stats),
        "http_status": stats.status or None,
        "is_stream": stats.is_stream,
        "queue_ms": _ms(stats.queue_s),
        "load_ms": _ms(stats.load_s),
        "prefill_ms": _ms(stats.prefill_s),
        "tokens_in": stats.tokens_in,
        "tokens_cached": stats.tokens_cached if stats.tokens_in is not None else None,
        "tokens_out": stats.tokens_out if stats.has_ended else stats.tokens_out or stats.events or None,
        "tokens_per_second": None if rate is None else round(rate, 1),
        "first_token_ms": _ms(stats.first_s) if stats.is_stream else None,
        "total_ms": _ms(stats.total_s) if stats.has_ended else None,
        "stop_reason": stats.stop_reason,
        "client": stats.client,
        "error": {"code": stats.outcome, "message": stats.error_message} if has_failed else None,
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
