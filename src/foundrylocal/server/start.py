"""Start: from stopped (or failed) to running with one model.

In order: the model can be had and fits, the port is bound, the model is downloaded if need be, loaded and adopted.
A start that fails or is cancelled releases the port, empties the memory and leaves the status `stopped`; the pool
leaves no worker of a load that failed. After a stop, the stop does that.
"""

from __future__ import annotations

import logging

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError, ServerAlreadyRunning
from foundrylocal.kit.operation import Operation
from foundrylocal.server.load import load_and_report, obtain, plan_or_refuse, reuse_and_report
from foundrylocal.server.operations import STARTED
from foundrylocal.server.parts import ServerParts
from foundrylocal.server.requests import ServerInfo, StartRequest
from foundrylocal.server.state import Status

log = logging.getLogger("foundrylocal.FoundryLocalApiService")


class Start:
    """`begin` is the operation; the rest is its work."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts

    async def begin(self, model: Model, request: StartRequest) -> Operation[ServerInfo]:
        """Begin to start, and return when the port is bound.

        Raises OperationInProgress, ServerAlreadyRunning, PortInUse and what the plan refuses; whatever happens after
        that is the outcome of the operation.
        """
        parts = self._parts
        parts.operations.refuse_unless_idle()
        if parts.state.status is Status.RUNNING:
            raise ServerAlreadyRunning(parts.state.current_name)
        operation = parts.operations.begin_change(
            "The start", lambda operation: self._run(operation, model, request)
        )
        parts.state.move(Status.STARTING, model)
        await operation.begun()
        return operation

    async def _run(self, operation: Operation[ServerInfo], model: Model, request: StartRequest) -> ServerInfo:
        parts = self._parts
        try:
            plan = await plan_or_refuse(parts.pool, model, request)
            await parts.port.open(parts.settings.current.port if request.port is None else request.port)
            operation.admit()
            parts.pool.clear_cooldowns()
            spec = await obtain(parts.pool, parts.supply, operation, plan, request)
            # After an error, models that were loaded on demand are still in memory.
            replica = reuse_and_report(parts.pool, operation, model, spec)
            if replica is None:
                replica = await load_and_report(parts.pool, operation, model, spec, request)
            parts.current.adopt(replica, request, is_stopping=parts.operations.is_stopping)
            await parts.remember(model, request)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._undo(error)
            raise
        log.info(STARTED)
        return parts.info(model)

    async def _undo(self, error: BaseException) -> None:
        parts = self._parts
        if parts.operations.is_stopping:
            return  # a start that was stopped on purpose has not failed, and the stop clears up
        if isinstance(error, FoundryLocalError):
            parts.state.fail(error)
            log.error("Server failed to start: %s", error.details or error.message)
        await parts.port.close()
        await parts.desired.clear()
        # What was loaded on demand before an error has no port any more.
        await parts.pool.unload_all(0)
        if parts.operations.is_stopping:
            return
        parts.state.move(Status.STOPPED, None)
