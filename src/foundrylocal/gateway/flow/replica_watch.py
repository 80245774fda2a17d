"""Keeps the queues in step with the replicas: slots as soon as one is ready, and how much is asked of each model.

Invariants: a replica that becomes ready takes waiting requests at once, not only with the next one that arrives.
While there are no requests nothing wakes up.
"""

from __future__ import annotations

import anyio

from foundrylocal.errors import ModelNotFound
from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.pool.scaling import SMOOTHING_S, Demand
from foundrylocal.server.server import Server

PERIOD_S = 1.0
# So long after the last request it is measured on, until the rate of requests is close to 0 (`SMOOTHING_S`).
QUIET_S = 10 * SMOOTHING_S


class ReplicaWatch:
    """Asks the pool and tells it; owns nothing but when the last request was there."""

    def __init__(self, server: Server, queue: FairQueue) -> None:
        self._server = server
        self._queue = queue
        self._arrived = 0
        self._busy_at = -QUIET_S

    async def run(self) -> None:
        """Do so until cancelled; while nobody asks for anything, sleep until a request or a replica arrives."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._wake_with_replicas)
            while True:
                if self._is_quiet():
                    await self._queue.arrival.wait()
                else:
                    with anyio.move_on_after(PERIOD_S):
                        await self._server.pool.arrival()
                self._follow_slots()
                self._report_demand()

    async def _wake_with_replicas(self) -> None:
        while True:
            await self._server.pool.arrival()
            self._queue.arrival.set()

    def _is_quiet(self) -> bool:
        """Whether nobody has asked for anything for so long that all rates have faded."""
        now, queues = anyio.current_time(), self._queue.snapshot().values()
        arrived = sum(queue.arrived for queue in queues)
        if arrived != self._arrived or any(queue.running or queue.waiting for queue in queues):
            self._arrived, self._busy_at = arrived, now
        return now - self._busy_at >= QUIET_S

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
