"""Recovery: the last worker of the server's own model has crashed: load it again after a growing pause, or give up.

While other replicas of the model answer, there is nothing to recover: the pool replaces the one that was lost.
"""

from __future__ import annotations

import logging

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import Cause
from foundrylocal.errors import (
    ClusterUnreachable,
    FoundryLocalError,
    NodeLost,
    OperationCancelled,
    ServerStartFailed,
    SystemExhausted,
    WorkerCrashed,
)
from foundrylocal.kit.broadcast import Subscription
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.losses import ReplicaLost
from foundrylocal.pool.pool import Pool
from foundrylocal.server.current import CurrentModel
from foundrylocal.server.state import ServerState, Status

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

EXHAUSTED_PAUSE_S = 5.0


class Recovery:
    """The owner of the recoveries under way; `run` must be running."""

    def __init__(self, state: ServerState, pool: Pool, current: CurrentModel, tasks: TaskHost) -> None:
        self._state = state
        self._pool = pool
        self._current = current
        self._tasks = tasks
        self._under_way: set[anyio.CancelScope] = set()

    async def run(self, losses: Subscription[ReplicaLost]) -> None:
        """Recover from each loss, until cancelled."""
        async for loss in losses:
            model = loss.replica.model
            # A model loaded on demand comes back with its next request, and a switch looks after its own.
            is_last = self._pool.get(model) is None
            if loss.replica.is_current and is_last and self._is_wanted(model):
                self._state.fail(_error_of(loss))
                self._tasks.spawn(self._recover, loss)

    @property
    def is_under_way(self) -> bool:
        return bool(self._under_way)

    def abandon(self) -> None:
        """Somebody wants the memory empty: the next request loads the model again."""
        for scope in self._under_way:
            scope.cancel()

    def _is_wanted(self, model: Model) -> bool:
        return self._state.status is Status.RUNNING and self._state.current is model

    async def _recover(self, loss: ReplicaLost) -> None:
        model, delay_s = loss.replica.model, loss.restart_delay_s
        if not self._is_wanted(model):
            return  # a switch or a stop has begun meanwhile
        if delay_s is None:
            self._current.give_up(ServerStartFailed(f"The worker crashed repeatedly. {loss.reason}"))
            return
        log.warning("Restarting the worker of %s in %g s", model.simple_name, delay_s)
        with anyio.CancelScope() as scope:
            self._under_way.add(scope)
            try:
                await anyio.sleep(delay_s)
                await self._reload(model)
            except OperationCancelled:
                return  # its load made way for an unload or a stop
            except FoundryLocalError as error:
                if self._is_wanted(model):
                    self._current.give_up(error)
            finally:
                self._under_way.discard(scope)

    async def _reload(self, model: Model) -> None:
        """Load the model unless somebody did. A shortage of our own, or a lost node, is waited out.

        Neither says anything about the model.
        """
        while self._is_wanted(model) and self._pool.get(model) is None:
            try:
                await self._current.reload(model)
            except (SystemExhausted, ClusterUnreachable, NodeLost) as error:
                log.warning("%s is not loaded yet: %s", model.simple_name, error.details)
                await anyio.sleep(EXHAUSTED_PAUSE_S)


def _error_of(loss: ReplicaLost) -> FoundryLocalError:
    lost = loss.replica
    return NodeLost(lost.node) if lost.lost_cause is Cause.NODE else WorkerCrashed(loss.reason)
