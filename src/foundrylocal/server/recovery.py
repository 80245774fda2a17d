"""A worker of the server's own model is lost: load it again, after a pause that grows, or give up."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio
import anyio.abc

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError, OperationCancelled, ServerStartFailed, WorkerCrashed
from foundrylocal.kit.contain import contain
from foundrylocal.pool.losses import ReplicaLost
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica
from foundrylocal.server.state import ServerState, Status

log = logging.getLogger("foundrylocal.FoundryLocalApiService")


class Recovery:
    """Hears of lost workers from the pool; `run` must be running."""

    def __init__(
        self,
        state: ServerState,
        pool: Pool,
        reload: Callable[[Model], Awaitable[Replica]],
        give_up: Callable[[FoundryLocalError], None],
    ) -> None:
        self._state = state
        self._pool = pool
        self._reload = reload
        self._give_up = give_up
        self._group: anyio.abc.TaskGroup | None = None
        self._under_way: set[anyio.CancelScope] = set()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the recoveries until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            with self._pool.losses() as losses:
                task_status.started()
                async for loss in losses:
                    self._note(loss)

    @property
    def is_under_way(self) -> bool:
        return bool(self._under_way)

    def abandon(self) -> None:
        """Somebody wants the memory empty: the next request loads the model again."""
        for scope in self._under_way:
            scope.cancel()

    def _is_wanted(self, model: Model) -> bool:
        return self._state.status is Status.RUNNING and self._state.current is model

    def _note(self, loss: ReplicaLost) -> None:
        replica, reason = loss.replica, loss.reason
        if self._group is None or not replica.is_pinned or not self._is_wanted(replica.model):
            return  # on demand: its next request loads it; within a switch: the switch sees to it
        self._state.fail(WorkerCrashed(reason))
        self._group.start_soon(contain, log, self._recover, replica.model, reason, loss.restart_delay_s)

    async def _recover(self, model: Model, reason: str, delay_s: float | None) -> None:
        if delay_s is None:
            self._give_up(ServerStartFailed(f"The model's process crashed again and again. {reason}"))
            return
        log.warning("The worker of %s is started again in %g s", model.simple_name, delay_s)
        with anyio.CancelScope() as scope:
            self._under_way.add(scope)
            try:
                await anyio.sleep(delay_s)
                if self._is_wanted(model) and self._pool.get(model) is None:
                    await self._reload(model)
            except OperationCancelled:
                return  # its load made way for an unload or a stop
            except FoundryLocalError as error:
                if self._is_wanted(model):
                    self._give_up(error)
            finally:
                self._under_way.discard(scope)
