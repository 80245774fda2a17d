"""The server's own model: adopted by a start or a switch, reloaded as it was started, given up at last."""

from __future__ import annotations

import logging

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError, OperationCancelled, ServerStartFailed
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica, State
from foundrylocal.server.health import HealthMonitor
from foundrylocal.server.port import ServerPort
from foundrylocal.server.requests import StartRequest
from foundrylocal.server.state import SERVING, ServerState, Status
from foundrylocal.wire.load_options import LoadOptions

log = logging.getLogger("foundrylocal.FoundryLocalApiService")


class CurrentModel:
    """The owner of the options that the current model was started with."""

    def __init__(
        self, state: ServerState, pool: Pool, monitor: HealthMonitor, port: ServerPort, tasks: TaskHost
    ) -> None:
        self._state = state
        self._pool = pool
        self._monitor = monitor
        self._port = port
        self._tasks = tasks
        self._options = LoadOptions()

    def options_of(self, model: Model) -> LoadOptions | None:
        """The options that the model was started with; None when it is not the current one."""
        return self._options if model is self._state.current else None

    def adopt(self, replica: Replica, request: StartRequest, *, is_stopping: bool) -> None:
        """From now on this is the server's own model: kept, watched, and reloaded with the same options.

        Raises OperationCancelled when a stop came first, ServerStartFailed when its worker has ended meanwhile.
        """
        if is_stopping:
            raise OperationCancelled("The start")
        if replica.state is not State.READY:
            raise ServerStartFailed(replica.lost_reason or "The worker exited as soon as it was ready.")
        self._pool.set_current(replica.model)
        self._options = request.options
        self._monitor.set_period(request.health_period_s)
        self._state.move(Status.RUNNING, replica.model)
        self._state.last_error = None

    async def reload(self, model: Model) -> Replica:
        """Load the model as it was started, even if it failed a moment ago."""
        return await self._pool.ensure(model, self._options, is_insistent=True)

    def give_up(self, error: FoundryLocalError) -> None:
        """Neither a restart nor an undo worked: the status is `error`, and the port is free for the next start."""
        if self._state.status not in SERVING:
            return
        log.error("The server could not recover: %s", error.details or error.message)
        self._state.fail(error)
        self._state.move(Status.ERROR, self._state.current)
        # Requests that wait for other models hear that the server is gone, and nothing is loaded for them.
        self._pool.cancel_loads()
        if self._tasks.is_open:
            self._tasks.spawn(self._port.close_if_current, self._port.current)
