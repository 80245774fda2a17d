"""The server at one moment, read from its owners for those who only want to show it."""

from __future__ import annotations

from dataclasses import dataclass

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError
from foundrylocal.lifecycle.entrance import Entrance
from foundrylocal.lifecycle.fleet import Fleet
from foundrylocal.lifecycle.monitor import HealthMonitor
from foundrylocal.lifecycle.recovery import Recovery
from foundrylocal.lifecycle.requests import Health
from foundrylocal.lifecycle.state import SERVING, ServerState, Status


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The server at one moment, for /status and /health."""

    status: Status
    is_running: bool
    current: Model | None
    loaded: Model | None
    port: int | None
    endpoint: str | None
    health: Health
    is_degraded: bool
    last_error: FoundryLocalError | None
    changed_at_s: float
    uptime_s: int


def take_snapshot(
    state: ServerState, fleet: Fleet, monitor: HealthMonitor, entrance: Entrance, recovery: Recovery
) -> Snapshot:
    """One consistent view: nothing is awaited in between."""
    status, current = state.status, state.current
    member = fleet.get(current) if current is not None else None
    is_running = status in SERVING
    health = monitor.health()
    should_answer = is_running and (member is not None or recovery.is_under_way)
    return Snapshot(
        status=status,
        is_running=is_running,
        current=current,
        loaded=current if member is not None else None,
        port=entrance.port if is_running else None,
        endpoint=entrance.url if is_running else None,
        health=health,
        is_degraded=status is Status.ERROR or (should_answer and not health.is_healthy),
        last_error=state.last_error,
        changed_at_s=state.changed_at_s,
        uptime_s=state.uptime_s,
    )
