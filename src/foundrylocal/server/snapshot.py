"""The server at one moment, read from its owners for those who only want to show it."""

from __future__ import annotations

from dataclasses import dataclass

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError
from foundrylocal.server.health import Health, HealthMonitor
from foundrylocal.server.parts import ServerParts
from foundrylocal.server.state import SERVING, Status
from foundrylocal.wire.options_report import OptionsReport


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The server at one moment, for /status and /health."""

    status: Status
    is_running: bool
    current: Model | None
    loaded: Model | None
    replicas: int
    options: OptionsReport | None
    port: int | None
    endpoint: str | None
    health: Health
    is_degraded: bool
    last_error: FoundryLocalError | None
    failed_at_s: float | None
    changed_at_s: float
    uptime_s: int


def take_snapshot(parts: ServerParts, monitor: HealthMonitor) -> Snapshot:
    """One consistent view: nothing is awaited in between."""
    state = parts.state
    replica = parts.pool.get(state.current) if state.current is not None else None
    is_running = state.status in SERVING
    health = monitor.health()
    should_answer = is_running and (replica is not None or parts.recovery.is_under_way)
    return Snapshot(
        status=state.status,
        is_running=is_running,
        current=state.current,
        loaded=state.current if replica is not None else None,
        replicas=len(parts.pool.replicas_of(state.current)) if state.current is not None else 0,
        options=replica.spec.report if replica is not None else None,
        port=parts.port.number if is_running else None,
        endpoint=parts.port.url if is_running else None,
        health=health,
        is_degraded=state.status is Status.ERROR
        or state.is_missing_model
        or (should_answer and not health.is_healthy),
        last_error=state.last_error,
        failed_at_s=state.failed_at_s,
        changed_at_s=state.changed_at_s,
        uptime_s=state.uptime_s,
    )
