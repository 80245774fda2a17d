"""The health monitor: probes every loaded model, and ends a worker that does not answer.

Invariant: only the silence of a worker counts against it, never a shortage of our own: a probe that failed because
the service had no descriptors, or because its event loop came late, is no missed one. Each replica is checked by
itself, so that the silence of one says nothing about another.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import anyio

from foundrylocal.engine.launcher import Launcher
from foundrylocal.errors import SystemExhausted, WorkerCrashed
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.contain import contain
from foundrylocal.kit.loop_lag import LoopLag
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica

log = logging.getLogger("foundrylocal.HealthMonitor")

MAX_MISSED = 3
MIN_TIMEOUT_S = 3.0
MAX_TIMEOUT_S = 30.0
MIN_PAUSE_S = 0.05
# Of the time that a probe had, the share for which the loop may have stood still before its failure counts.
MAX_LAG_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Health:
    """What the last health checks said; times in seconds since the epoch, UTC."""

    is_healthy: bool
    response_ms: int
    checked_at_s: float


@dataclass(frozen=True, slots=True)
class _Answer:
    """A replica's last answer; `at` by the monotonic clock."""

    at: float
    took_s: float


class HealthMonitor:
    """The owner of the results of the last checks."""

    def __init__(self, launcher: Launcher, pool: Pool) -> None:
        self._launcher = launcher
        self._pool = pool
        self._period_s = 2.0
        self._period_changed = anyio.Event()
        self._answers: dict[str, _Answer] = {}  # by replica id
        self._missed: dict[str, int] = {}  # probes in a row, by replica id
        self._watched: set[str] = set()  # replica ids
        self._checked_at_s = now_s()

    def set_period(self, period_s: float) -> None:
        """From now on check every `period_s`, beginning at once: the pause under way may be a long one."""
        self._period_s = period_s
        changed, self._period_changed = self._period_changed, anyio.Event()
        changed.set()

    def health(self) -> Health:
        """Healthy is a server one of whose own model's workers has answered within the last three periods."""
        own = [replica for replica in self._pool.replicas() if replica.is_current]
        if not own:
            return Health(False, 0, self._checked_at_s)
        last = max(map(self._last_answer, own), key=lambda answer: answer.at)
        is_recent = anyio.current_time() - last.at <= MAX_MISSED * self._period_s
        loaded_at_s = max(replica.loaded_at for replica in own)
        return Health(is_recent, round(last.took_s * 1000), max(self._checked_at_s, loaded_at_s))

    def _last_answer(self, replica: Replica) -> _Answer:
        first = _Answer(replica.ready_at, replica.address.first_probe_s)
        return self._answers.get(replica.spec.id, first)

    async def run(self) -> None:
        """Check until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                for replica in self._pool.in_memory():
                    if replica.spec.id not in self._watched:
                        self._watched.add(replica.spec.id)
                        group.start_soon(contain, log, self._watch, replica)
                await self._pause(anyio.current_time())

    async def _watch(self, replica: Replica) -> None:
        """Check one replica until it is gone."""
        try:
            while not replica.is_gone:
                began = anyio.current_time()
                await self._check(replica)
                await self._pause(began)
        finally:
            self._watched.discard(replica.spec.id)
            self._answers.pop(replica.spec.id, None)
            self._missed.pop(replica.spec.id, None)

    async def _pause(self, began: float) -> None:
        changed = self._period_changed
        with anyio.move_on_after(max(MIN_PAUSE_S, began + self._period_s - anyio.current_time())):
            await changed.wait()

    async def _check(self, replica: Replica) -> None:
        lag = LoopLag()
        async with anyio.create_task_group() as measuring:
            measuring.start_soon(lag.run)
            await self._check_once(replica, lag)
            measuring.cancel_scope.cancel()

    async def _check_once(self, replica: Replica, lag: LoopLag) -> None:
        timeout_s = min(max(self._period_s, MIN_TIMEOUT_S), MAX_TIMEOUT_S)
        try:
            took_s = await self._launcher.probe(replica.spec.id, timeout_s)
        except SystemExhausted as error:
            log.warning("Health check skipped - %s: %s", replica.model.simple_name, error.details)
            return
        except WorkerCrashed as error:
            if lag.total_s > timeout_s * MAX_LAG_SHARE:
                name = replica.model.simple_name
                log.warning(
                    "Health check skipped - %s: the service itself was late by %.1f s", name, lag.total_s
                )
            elif not replica.is_gone:
                await self._note_miss(replica, error.details)
            return
        self._missed.pop(replica.spec.id, None)
        self._answers[replica.spec.id] = _Answer(anyio.current_time(), took_s)
        self._note_check(replica)
        log.debug("Health check passed - response time: %dms", round(took_s * 1000))

    async def _note_miss(self, replica: Replica, reason: str | None) -> None:
        missed = self._missed[replica.spec.id] = self._missed.get(replica.spec.id, 0) + 1
        name = replica.model.simple_name
        log.warning("Health check failed (%d of %d) - %s: %s", missed, MAX_MISSED, name, reason)
        self._note_check(replica)
        if missed >= MAX_MISSED:
            log.error("%s does not answer: ending its worker", name)
            await self._launcher.kill(replica.spec.id)

    def _note_check(self, replica: Replica) -> None:
        if replica.is_current:
            self._checked_at_s = now_s()
