"""The server's operations: start, stop, switch, unload. One runs at a time; each belongs to the service.

Invariant: whatever becomes of an operation, the status it leaves is settled, and no port, worker or
reservation of a failed one is left.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import anyio.abc

from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.engine.launcher import Launcher
from foundrylocal.errors import (
    FoundryLocalError,
    InsufficientMemory,
    ModelCorrupted,
    ModelLoading,
    OperationCancelled,
    OperationInProgress,
    ServerAlreadyRunning,
    ServerShuttingDown,
    ServerStartFailed,
    ServerStartTimeout,
    SystemExhausted,
    WorkerCrashed,
)
from foundrylocal.events import Progress
from foundrylocal.kit.contain import contain
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica
from foundrylocal.pool.supply import Supply
from foundrylocal.server.health import HealthMonitor
from foundrylocal.server.load_progress import LoadProgress
from foundrylocal.server.port import ServerPort
from foundrylocal.server.recovery import Recovery
from foundrylocal.server.requests import OpenPort, PortOpener, ServerInfo, StartRequest
from foundrylocal.server.snapshot import Snapshot, take_snapshot
from foundrylocal.server.state import IN_PROGRESS, SERVING, ServerState, Status
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import LoadOptions

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

STARTED = "Server started successfully"
STOPPED = "Server stopped successfully"
NOT_RUNNING = "Server is not running"
WAITING = "Waiting for server to be ready..."
LOAD_FAILURES = (ServerStartFailed, ServerStartTimeout, InsufficientMemory, ModelCorrupted, SystemExhausted)


class Server:
    """The FoundryLocal server as its callers know it; `run` must be running."""

    def __init__(
        self,
        *,
        registry: Registry,
        supply: Supply,
        pool: Pool,
        launcher: Launcher,
        settings: SettingsStore,
        port_opener: PortOpener,
        api_key: str,
    ) -> None:
        self.state = ServerState()
        self.pool = pool
        self._registry = registry
        self._supply = supply
        self._settings = settings
        self._api_key = api_key
        self._monitor = HealthMonitor(launcher, pool)
        self._entrance = ServerPort(port_opener)
        self._last_options = LoadOptions()
        self._operation: Operation[ServerInfo] | None = None
        self._stopping: Operation[str] | None = None
        self._unloading: Operation[None] | None = None
        self._group: anyio.abc.TaskGroup | None = None
        self._recovery = Recovery(self.state, pool, self._reload, self._give_up)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the operations until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._monitor.run)
            await group.start(self._recovery.run)
            task_status.started()
            await anyio.sleep_forever()

    # --- start ------------------------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> Operation[ServerInfo]:
        """Begin to start; what speaks against it at once is raised here, the rest is the operation's outcome."""
        model = self._find(request.model_name)
        self._refuse_unless_idle()
        if self.state.status is Status.RUNNING:
            raise ServerAlreadyRunning(self._current_name())
        self.state.move(Status.STARTING, model)
        operation: Operation[ServerInfo] = Operation("The start")
        return await self._begin(operation, self._run_start, model, request)

    async def _begin(
        self,
        operation: Operation[ServerInfo],
        run: Callable[[Operation[ServerInfo], Model, StartRequest], Coroutine[Any, Any, None]],
        model: Model,
        request: StartRequest,
    ) -> Operation[ServerInfo]:
        assert self._group is not None  # noqa: S101 - run is running
        self._operation = operation
        self._group.start_soon(run, operation, model, request)
        await operation.begun()
        return operation

    async def _run_start(self, operation: Operation[ServerInfo], model: Model, request: StartRequest) -> None:
        async def work() -> ServerInfo:
            try:
                await self._supply.refuse_unless_obtainable(model, request.may_download)
                port = self._settings.current.port if request.port is None else request.port
                await self._entrance.open(port)
                operation.admit()
                self.pool.clear_cooldowns()
                await self._supply.obtain(model, report=operation.report)
                operation.report(Progress("Starting FoundryLocal server..."))
                self._adopt(await self._load(operation, model, request), request)
            except BaseException as error:
                with anyio.CancelScope(shield=True):
                    await self._undo_start(error)
                raise
            log.info(STARTED)
            return self._info(model)

        await operation.run(work, lambda info: STARTED, _log_fault)

    async def _load(self, operation: Operation[ServerInfo], model: Model, request: StartRequest) -> Replica:
        spec = await self._supply.specify(model, request.options)
        replica = await self.pool.load(
            model,
            spec,
            request.timeout_s,
            on_spawned=lambda: operation.report(Progress(WAITING)),
            on_progress=LoadProgress(operation, WAITING),
        )
        try:
            await self._monitor.first_check(replica)
        except WorkerCrashed as error:
            with anyio.CancelScope(shield=True):
                await self.pool.unload(replica, 0)
            raise ServerStartFailed(error.details or error.message) from None
        operation.report(Progress("Server health check passed"))
        return replica

    async def _undo_start(self, error: BaseException) -> None:
        # A start that was stopped on purpose has not failed.
        if isinstance(error, FoundryLocalError) and self._stopping is None:
            self.state.fail(error)
            log.error("Server failed to start: %s", error.details or error.message)
        if self._stopping is None:
            await self._entrance.close()
            self.state.move(Status.STOPPED, None)

    def _adopt(self, replica: Replica, request: StartRequest) -> None:
        """From now on this is the server's own model: pinned, watched, and reloaded with the same options."""
        if self._stopping is not None:
            raise OperationCancelled("The start")
        if self.pool.get(replica.model) is not replica:
            raise ServerStartFailed("The model's process ended as soon as it was ready.")
        self.pool.pin(replica.model)
        self._last_options = request.options
        self._monitor.set_period(request.health_period_s)
        self.state.move(Status.RUNNING, replica.model)
        self.state.last_error = None

    # --- stop -------------------------------------------------------------------------------------------

    async def stop(self) -> str:
        """Stop whatever there is, an operation under way included; callers at the same time share one stop."""
        if self._stopping is None:
            if self.state.status is Status.STOPPED:
                return NOT_RUNNING
            assert self._group is not None  # noqa: S101 - run is running
            self._stopping = Operation("The stop")
            # After a failure nothing runs any more, but what is left of it is cleared all the same.
            message = NOT_RUNNING if self.state.status is Status.ERROR else STOPPED
            self.state.move(Status.STOPPING, self.state.current)
            self._group.start_soon(self._run_stop, self._stopping, message)
        return await self._stopping.result()

    async def _run_stop(self, operation: Operation[str], message: str) -> None:
        async def work() -> str:
            with anyio.CancelScope(shield=True):
                for running in (self._operation, self._unloading):
                    if running is not None and not running.is_ended:
                        running.cancel()
                        await running.ended()
                self._entrance.let_pass()
                await self.pool.unload_all(0)
                self.pool.pin(None)
                await self._entrance.close()
                self.state.move(Status.STOPPED, None)
            log.info(STOPPED)
            return message

        try:
            await operation.run(work, lambda told: told, _log_fault)
        finally:
            self._stopping = None

    # --- switch -----------------------------------------------------------------------------------------

    async def switch(self, request: StartRequest) -> Operation[ServerInfo]:
        """Replace the current model, or start when nothing runs; the old one serves on when that fails."""
        model = self._find(request.model_name)
        self._refuse_unless_idle()
        if self._unloading is not None:
            await self._unloading.ended()
            self._refuse_unless_idle()
        if self.state.status is not Status.RUNNING:
            return await self.start(request)
        self.state.move(Status.SWITCHING, self.state.current)
        operation: Operation[ServerInfo] = Operation("The switch")
        return await self._begin(operation, self._run_switch, model, request)

    async def _run_switch(
        self, operation: Operation[ServerInfo], model: Model, request: StartRequest
    ) -> None:
        former = self.state.current
        new_door: OpenPort | None = None

        async def work() -> ServerInfo:
            nonlocal new_door
            try:
                await self._supply.refuse_unless_obtainable(model, request.may_download)
                new_door = await self._entrance.open_another(request.port)
                operation.admit()
                await self._supply.obtain(model, report=operation.report)
                operation.report(Progress("Starting FoundryLocal server..."))
                old = self.pool.get(former) if former is not None else None
                replica = await self._exchange(operation, old, model, request)
                self._adopt(replica, request)
            except BaseException as error:
                with anyio.CancelScope(shield=True):
                    await self._undo_switch(error, former, new_door)
                raise
            finally:
                self._entrance.let_pass()
            if old is not None and old is not replica:
                self.pool.retire(old)
            with anyio.CancelScope(shield=True):
                await self._entrance.move_to(new_door)
            log.info("Switched to %s", model.simple_name)
            return self._info(model)

        await operation.run(work, lambda info: STARTED, _log_fault)

    async def _exchange(
        self, operation: Operation[ServerInfo], old: Replica | None, model: Model, request: StartRequest
    ) -> Replica:
        """Beside the old one when memory allows; otherwise requests wait while the old one makes room."""
        spec = await self._supply.specify(model, request.options)
        there = self.pool.get(model)
        if there is None or request.options != (self._last_options if there is old else LoadOptions()):
            there = self.pool.recall(spec)
        if there is not None:
            operation.report(Progress(WAITING))
            operation.report(Progress("Server health check passed"))
            return there
        if old is not None and not await self.pool.fits_beside(spec):
            self._entrance.hold()
            await self.pool.unload(old, self._settings.current.drain_seconds)
        return await self._load(operation, model, request)

    async def _undo_switch(
        self, error: BaseException, former: Model | None, new_door: OpenPort | None
    ) -> None:
        if isinstance(error, FoundryLocalError) and self._stopping is None:
            self.state.fail(error)
            log.error("Switch failed: %s", error.details or error.message)
        await self._entrance.abandon(new_door)
        if self._stopping is not None or former is None:
            return
        if self.pool.get(former) is None:
            try:
                await self._reload(former)
            except FoundryLocalError as second:
                self._give_up(second)
                return
        if isinstance(error, LOAD_FAILURES):
            serves_on = f"The former model '{former.simple_name}' serves on."
            error.details = f"{error.details or error.message} {serves_on}"
        self.state.move(Status.RUNNING, former)

    # --- unload and return ------------------------------------------------------------------------------

    async def unload_all(self) -> None:
        """Free the memory of all models; the server stays up and loads again with the next request."""
        self._refuse_unless_idle()
        if self._unloading is not None:
            await self._unloading.result()
            return
        assert self._group is not None  # noqa: S101 - run is running
        operation = self._unloading = Operation[None]("The unload")

        async def work() -> None:
            self._recovery.abandon()
            await self.pool.unload_all(self._settings.current.drain_seconds)
            log.info("All models unloaded successfully")

        async def run() -> None:
            try:
                await operation.run(work, lambda made: "All models unloaded successfully", _log_fault)
            finally:
                self._unloading = None

        self._group.start_soon(run)
        await operation.result()

    async def _reload(self, model: Model) -> Replica:
        """Load the server's own model as it was started."""
        return await self.pool.ensure(model, self._last_options, is_insistent=True)

    def _give_up(self, error: FoundryLocalError) -> None:
        """Neither restart nor return worked: say so, and release the port for the next start."""
        if self.state.status not in SERVING:
            return
        log.error("The server gave up: %s", error.details or error.message)
        self.state.fail(error)
        self.state.move(Status.ERROR, self.state.current)
        if self._group is not None:
            self._group.start_soon(contain, log, self._entrance.close_this, self._entrance.door)

    # --- what others ask --------------------------------------------------------------------------------

    @asynccontextmanager
    async def lease(self, name: str | None) -> AsyncIterator[Replica]:
        """A loaded model for one request: the current one, or the named one, loaded when it is not."""
        model = self._find(name) if name else None
        async with AsyncExitStack() as stack:
            yield await self._borrow(model, stack)

    async def _borrow(self, model: Model | None, stack: AsyncExitStack) -> Replica:
        while True:
            await self._entrance.pass_gate()
            status, current = self.state.status, self.state.current
            if status is Status.STARTING:
                raise ModelLoading(self._current_name())
            if status not in SERVING or current is None:
                raise ServerShuttingDown
            own = self._last_options if model in (None, current) else None
            try:
                return await stack.enter_async_context(self.pool.lease(model or current, own))
            except OperationCancelled:
                continue  # its load made way for a stop or an unload: look again which

    def snapshot(self) -> Snapshot:
        """The server as it is now."""
        return take_snapshot(self.state, self.pool, self._monitor, self._entrance, self._recovery)

    @property
    def api_key(self) -> str:
        return self._api_key

    def resolve(self, name: str) -> Model:
        """The model of that name or alias. Raises ModelNotFound."""
        return self._find(name)

    def _find(self, name: str) -> Model:
        return self._registry.find(self._settings.current.aliases.get(name, name))

    def _current_name(self) -> str:
        return self.state.current.simple_name if self.state.current else ""

    def _refuse_unless_idle(self) -> None:
        if self.state.status in IN_PROGRESS:
            raise OperationInProgress(self.state.status)

    def _info(self, model: Model) -> ServerInfo:
        port, url = self._entrance.port, self._entrance.url
        if port is None or url is None:
            raise OperationCancelled("The start")
        return ServerInfo(port, model, url, self._api_key)


def _log_fault(error: Exception) -> None:
    log.error("Unexpected fault in an operation: %r", error, exc_info=error)
