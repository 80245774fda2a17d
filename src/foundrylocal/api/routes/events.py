"""Route: /events, one stream of everything that changes: server state, downloads, models, requests, queues,
memory and disk.

Invariant: each event carries the complete state of its kind, so a reader that misses one catches up with the next.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from fastapi import APIRouter

from foundrylocal.api.activity import describe_activity
from foundrylocal.api.describe import StreamAnswer, describe_stream, refusals
from foundrylocal.api.machine import describe_machine
from foundrylocal.api.routes.downloads import ended_entry, entry
from foundrylocal.api.services import Services, ServicesDep
from foundrylocal.api.streams import KEEPALIVE_S, EventStream
from foundrylocal.kit import sse
from foundrylocal.kit.clock import format_time
from foundrylocal.web.errors import error_object
from foundrylocal.wire.events import ChangeEvent

router = APIRouter(tags=["Health and Monitoring"])
POLL_PERIOD_S = 0.5
DISK_PERIOD_S = 3.0
_STREAM = (
    'data: {"type":"state","data":{"status":"running","current_model":"Qwen2.5-0.5B-Instruct-Q8_0-GGUF",'
    '"loaded_model_id":"Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF","is_healthy":true,"port":1234}}\n\n'
)


@router.get(
    "/events", response_class=StreamAnswer, responses=describe_stream(ChangeEvent, _STREAM) | refusals()
)
async def events(services: ServicesDep) -> EventStream:
    """The current state, then each change."""
    return EventStream(_changes(services))


async def _changes(services: Services) -> AsyncIterator[bytes]:
    sent: dict[str, Any] = {}
    next_disk_s = quiet_since_s = anyio.current_time()
    with services.server.state.changes.subscribe() as moves:
        while True:
            now = anyio.current_time()
            seen = _in_memory(services)
            if now >= next_disk_s or _concerns_disk_or_memory(seen, sent):
                next_disk_s = now + DISK_PERIOD_S
                stored = await anyio.to_thread.run_sync(services.library.all)
                seen["downloaded"] = [one.model_id for one in stored]
                seen["machine"] = await describe_machine(services, stored)
            for kind, data in seen.items():
                if kind not in sent or sent[kind] != data:
                    sent[kind] = data
                    quiet_since_s = now
                    yield sse.encode({"type": kind, "data": data})
            if now - quiet_since_s >= KEEPALIVE_S:
                quiet_since_s = now
                yield sse.KEEPALIVE
            try:
                with anyio.move_on_after(POLL_PERIOD_S):
                    await anext(moves)
            except StopAsyncIteration:
                return


def _concerns_disk_or_memory(seen: dict[str, Any], sent: dict[str, Any]) -> bool:
    """Whether a download ended or a model came or left since the last event."""
    return len(seen["downloads"]) < len(sent.get("downloads", ())) or seen["loaded"] != sent.get("loaded")


def _in_memory(services: Services) -> dict[str, Any]:
    now = services.server.snapshot()
    return {
        "state": {
            "status": now.status.value,
            "current_model": now.current.simple_name if now.current else None,
            "loaded_model_id": now.loaded.model_id if now.loaded else None,
            "is_healthy": now.is_running and now.health.is_healthy,
            "port": now.port,
            "last_error": error_object(now.last_error) if now.last_error else None,
            "last_error_at": format_time(now.failed_at_s) if now.last_error and now.failed_at_s else None,
        },
        "downloads": [entry(status) for status in services.downloads.jobs()],
        "loaded": [replica.model.model_id for replica in services.server.pool.loaded()],
        "ended_downloads": [ended_entry(ended) for ended in services.downloads.ended()],
        "activity": describe_activity(services),
        "requests": services.gateway.activity.summary(),
    }
