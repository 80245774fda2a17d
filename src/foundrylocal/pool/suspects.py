"""Replicas whose connection broke: they get nothing while others can answer, until a probe of them is answered.

A worker that has crashed, or whose node is lost, is known to be gone a moment later; one that lives answers the probe
at once. Invariant: each suspect replica has one task that probes it until it answers or is gone.
"""

from __future__ import annotations

import logging

import anyio

from foundrylocal.engine.launcher import Launcher
from foundrylocal.errors import ClusterUnreachable, NodeLost, SystemExhausted, WorkerCrashed
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.roster import Replica, Roster, State

log = logging.getLogger("foundrylocal.HealthMonitor")

PROBE_TIMEOUT_S = 15.0
PROBE_PAUSE_S = 0.5


class Suspects:
    """Suspects replicas, and clears them."""

    def __init__(self, launcher: Launcher, roster: Roster, tasks: TaskHost) -> None:
        self._launcher = launcher
        self._roster = roster
        self._tasks = tasks

    def suspect(self, replica: Replica) -> None:
        """Its connection broke: probe it, and give it nothing until then."""
        if replica.state is State.READY and not replica.is_suspect and self._tasks.is_open:
            self._roster.set_suspect(replica, True)
            self._tasks.spawn(self._probe, replica)

    async def _probe(self, replica: Replica) -> None:
        while not replica.is_gone:
            try:
                await self._launcher.probe(replica.id, PROBE_TIMEOUT_S)
            except (WorkerCrashed, NodeLost, ClusterUnreachable, SystemExhausted) as error:
                log.warning("%s does not answer: %s", replica.id, error.details or error.message)
                await anyio.sleep(PROBE_PAUSE_S)
                continue
            self._roster.set_suspect(replica, False)
            return
