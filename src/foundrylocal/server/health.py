"""The health monitor: asks every loaded model for a sign of life, and ends one that gives none."""

from __future__ import annotations

import logging

import anyio

from foundrylocal.engine.launcher import Launcher
from foundrylocal.errors import WorkerCrashed
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.contain import contain
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica
from foundrylocal.server.requests import Health

log = logging.getLogger("foundrylocal.HealthMonitor")

MAX_MISSED = 3
MIN_TIMEOUT_S = 3.0
MAX_TIMEOUT_S = 30.0
MIN_PAUSE_S = 0.05


class HealthMonitor:
    """Owner of what the last checks of the server's own model said."""

    def __init__(self, launcher: Launcher, pool: Pool) -> None:
        self._launcher = launcher
        self._pool = pool
        self._period_s = 2.0
        self._period_changed = anyio.Event()
        self._answered: float | None = None
        self._response_ms = 0
        self._checked_at_s = now_s()
        self._missed: dict[str, int] = {}  # by replica id

    def set_period(self, period_s: float) -> None:
        """From now on check every `period_s`, beginning at once: the pause under way may be a long one."""
        self._period_s = period_s
        self._period_changed.set()

    def health(self) -> Health:
        """Healthy is a worker that has answered within the last three periods."""
        is_recent = (
            self._answered is not None
            and anyio.current_time() - self._answered <= MAX_MISSED * self._period_s
        )
        is_recent = is_recent and self._has_own_model()
        return Health(is_recent, self._response_ms, self._checked_at_s)

    def _has_own_model(self) -> bool:
        """A model whose process is gone is not healthy, however short ago it answered."""
        return any(replica.is_pinned for replica in self._pool.replicas())

    async def first_check(self, replica: Replica) -> None:
        """The check that a start reports. Raises WorkerCrashed."""
        self.note_answer(await self._launcher.probe(replica.spec.id, MIN_TIMEOUT_S))

    def note_answer(self, seconds: float) -> None:
        self._answered = anyio.current_time()
        self._response_ms = round(seconds * 1000)
        self._checked_at_s = now_s()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            began = anyio.current_time()
            self._period_changed = anyio.Event()
            async with anyio.create_task_group() as group:
                for replica in self._pool.replicas():
                    group.start_soon(contain, log, self._check, replica)
            with anyio.move_on_after(max(MIN_PAUSE_S, began + self._period_s - anyio.current_time())):
                await self._period_changed.wait()

    def _timeout_s(self) -> float:
        return min(max(self._period_s, MIN_TIMEOUT_S), MAX_TIMEOUT_S)

    async def _check(self, replica: Replica) -> None:
        try:
            took = await self._launcher.probe(replica.spec.id, self._timeout_s())
        except WorkerCrashed as error:
            missed = self._missed[replica.spec.id] = self._missed.get(replica.spec.id, 0) + 1
            log.warning(
                "Health check failed (%d of %d) - %s: %s",
                missed,
                MAX_MISSED,
                replica.model.simple_name,
                error.details,
            )
            if replica.is_pinned:
                self._checked_at_s = now_s()
            if missed >= MAX_MISSED:
                log.error("%s does not answer; its worker is ended", replica.model.simple_name)
                await self._launcher.kill(replica.spec.id)
            return
        self._missed.pop(replica.spec.id, None)
        if replica.is_pinned:
            self.note_answer(took)
        log.debug("Health check passed - response time: %dms", round(took * 1000))
