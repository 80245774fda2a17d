"""The FoundryLocal server as its callers know it: the facade over its operations, which have a module each.

Invariant: whatever happens to an operation, the status it leaves is settled, and no port, worker or reservation of
a failed one is left.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import anyio.abc

from foundrylocal.catalog.ollama_names import aliased
from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.engine.launcher import Launcher
from foundrylocal.errors import ModelLoading, OperationCancelled, ServerShuttingDown
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.plan import Plan
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.roster import Replica
from foundrylocal.pool.supply import Supply
from foundrylocal.server.at_start import load_at_start
from foundrylocal.server.current import CurrentModel
from foundrylocal.server.demand import Demand
from foundrylocal.server.desired import DesiredFile
from foundrylocal.server.gate import Gate
from foundrylocal.server.health import HealthMonitor
from foundrylocal.server.load import make_plan_or_explain
from foundrylocal.server.operations import Operations
from foundrylocal.server.parts import ServerParts
from foundrylocal.server.port import PortOpener, ServerPort
from foundrylocal.server.recovery import Recovery
from foundrylocal.server.requests import ServerInfo, StartRequest
from foundrylocal.server.resume import Resume
from foundrylocal.server.snapshot import Snapshot, take_snapshot
from foundrylocal.server.start import Start
from foundrylocal.server.state import SERVING, ServerState, Status
from foundrylocal.server.stop import Stop
from foundrylocal.server.switch import Switch
from foundrylocal.server.unload import Unload
from foundrylocal.settings.store import SettingsStore

log = logging.getLogger("foundrylocal.FoundryLocalApiService")


class Server:
    """Start, stop, switch, unload, and leases for requests; `run` must be running."""

    def __init__(
        self,
        *,
        registry: Registry,
        supply: Supply,
        pool: Pool,
        launcher: Launcher,
        settings: SettingsStore,
        port_opener: PortOpener,
        desired: DesiredFile,
        api_key: str,
    ) -> None:
        self.state = ServerState()
        self.pool = pool
        self._registry = registry
        self._settings = settings
        self._tasks = TaskHost(log)
        self._monitor = HealthMonitor(launcher, pool)
        port = ServerPort(port_opener)
        current = CurrentModel(self.state, pool, self._monitor, port, self._tasks)
        self._parts = ServerParts(
            state=self.state,
            operations=Operations(self.state, self._tasks),
            current=current,
            recovery=Recovery(self.state, pool, current, self._tasks),
            pool=pool,
            supply=supply,
            port=port,
            gate=Gate(),
            settings=settings,
            desired=desired,
            api_key=api_key,
        )
        self._resume = Resume(self._parts, launcher, registry)
        self._start = Start(self._parts)
        self._switch = Switch(self._parts, self._start)
        self._stop = Stop(self._parts)
        self._unload = Unload(self._parts)
        self._demand = Demand(self._parts, self._start, self._switch)
        self.refuse_starts = self._demand.refuse_starts

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the operations, watch the workers and recover from crashes, until cancelled.

        Before anything else, replicas of a service that was killed are adopted; their launcher bounds that.
        """
        with self.pool.losses() as losses:
            async with self._tasks.open():
                self._tasks.spawn(self._monitor.run)
                self._tasks.spawn(self._parts.recovery.run, losses)
                await self._resume.run()
                task_status.started()
                await anyio.sleep_forever()

    # --- operations -------------------------------------------------------------------------------------

    async def start(self, request: StartRequest) -> Operation[ServerInfo]:
        """Begin to start; what speaks against it at once is raised here, the rest is the operation's outcome."""
        return await self._start.begin(self.resolve(request.model_name), request)

    async def load_at_start(self) -> None:
        """Start with the model of the setting load_at_start, if it names one; whatever fails is logged."""
        name = self._settings.current.load_at_start
        if name is not None:
            await load_at_start(self.state, self.start, name)

    async def switch(self, request: StartRequest) -> Operation[ServerInfo]:
        """Begin to replace the current model, or to start when nothing runs."""
        return await self._switch.begin(self.resolve(request.model_name), request)

    async def stop(self) -> str:
        """Stop whatever there is, an operation under way included; the published message."""
        return await self._stop.run()

    async def unload_all(self) -> None:
        """Free the memory of all models; the server stays up and loads again with the next request."""
        await self._unload.run()

    # --- what others ask --------------------------------------------------------------------------------

    @asynccontextmanager
    async def lease(
        self,
        name: str | None,
        *,
        context_tokens: int | None = None,
        may_start: bool = False,
        opening: bytes = b"",
    ) -> AsyncIterator[Replica]:
        """A ready replica for one request: of the current model, or of the named one, loaded when it is not.

        It has a context of at least `context_tokens`. With `may_start` a stopped server starts with the model. The
        `opening` of a conversation brings its requests to the same replica.
        """
        model = self.resolve(name) if name else None
        if may_start and model is not None:
            await self._demand.start_if_stopped(model, context_tokens)
        async with AsyncExitStack() as stack:
            if context_tokens is not None and (wanted := model or self.state.current) is not None:
                await self._parts.gate.wait_open()
                await self._demand.provide_context(wanted, context_tokens)
            yield await self._enter_lease(model, stack, opening)

    async def _enter_lease(self, model: Model | None, stack: AsyncExitStack, opening: bytes) -> Replica:
        while True:
            await self._parts.gate.wait_open()
            status, current = self.state.status, self.state.current
            if status is Status.STARTING:
                raise ModelLoading(self.state.current_name)
            if status not in SERVING or current is None:
                raise ServerShuttingDown
            wanted = model or current
            options = self._parts.current.options_of(wanted)
            try:
                return await stack.enter_async_context(self.pool.lease(wanted, options, opening))
            except OperationCancelled:
                continue  # its load made way for a stop or an unload: look again

    def snapshot(self) -> Snapshot:
        """The server as it is now."""
        return take_snapshot(self._parts, self._monitor)

    @property
    def api_key(self) -> str:
        return self._parts.api_key

    async def plan(self, request: StartRequest) -> Plan:
        """What a start with this request would take and do, or a switch while the server runs; changes nothing.

        Raises ModelNotFound, EngineUnavailable.
        """
        is_switch = self.state.status in SERVING
        model = self.resolve(request.model_name)
        return await make_plan_or_explain(self.pool, model, request, is_switch=is_switch)

    def resolve(self, name: str) -> Model:
        """The model with this name or alias. Raises ModelNotFound."""
        return self._registry.find(aliased(name, self._settings.current.aliases))
