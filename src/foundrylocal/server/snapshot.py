"""The server at one moment, read from its owners for those who only want to show it."""

from __future__ import annotations

from dataclasses import dataclass

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError
from foundrylocal.pool.pool import Pool
from foundrylocal.server.health import HealthMonitor
from foundrylocal.server.port import ServerPort
from foundrylocal.server.recovery import Recovery
from foundrylocal.server.requests import Health
from foundrylocal.server.state import SERVING, ServerState, Status


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
    state: ServerState, pool: Pool, monitor: HealthMonitor, entrance: ServerPort, recovery: Recovery
) -> Snapshot:
    """One consistent view: nothing is awaited in between."""
    status, current = state.status, state.current
    replica = pool.get(current) if current is not None else None
    is_running = status in SERVING
    health = monitor.health()
    should_answer = is_running and (replica is not None or recovery.is_under_way)
    return Snapshot(
        status=status,
        is_running=is_running,
        current=current,
        loaded=current if replica is not None else None,
        port=entrance.port if is_running else None,
        endpoint=entrance.url if is_running else None,
        health=health,
        is_degraded=status is Status.ERROR or (should_answer and not health.is_healthy),
        last_error=state.last_error,
        changed_at_s=state.changed_at_s,
        uptime_s=state.uptime_s,
    )
