"""Keeps the queues in step with the replicas: slots as soon as one is ready, and how much is asked of each model.

Invariant: a replica that becomes ready takes waiting requests at once, not only with the next one that arrives.
"""

from __future__ import annotations

import anyio

from foundrylocal.errors import ModelNotFound
from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.pool.scaling import Demand
from foundrylocal.server.server import Server

PERIOD_S = 1.0


class ReplicaWatch:
    """Asks the pool and tells it; owns nothing."""

    def __init__(self, server: Server, queue: FairQueue) -> None:
        self._server = server
        self._queue = queue

    async def run(self) -> None:
        """Do so until cancelled."""
        while True:
            with anyio.move_on_after(PERIOD_S):
                await self._server.pool.arrival()
            self._follow_slots()
            self._report_demand()

    def _follow_slots(self) -> None:
        for model_id in self._queue.snapshot():
            try:
                model = self._server.resolve(model_id)
            except ModelNotFound:
                continue  # an imported model that was deleted
            if self._server.pool.get(model) is not None:
                self._queue.set_limit(model_id, *self._server.pool.slots(model))

    def _report_demand(self) -> None:
        demands = {
            model_id: Demand(stats.arrived, stats.waiting, stats.usual_duration_s)
            for model_id, stats in self._queue.snapshot().items()
        }
        self._server.pool.note_demand(demands)
