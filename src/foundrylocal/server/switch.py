"""Switch: a transaction that replaces the current model.

When both models fit in memory, the new one loads beside the old one and traffic moves over; otherwise requests wait
while the old one drains and makes room. When the new one fails to load, the old one keeps serving or is reloaded.
"""

from __future__ import annotations

import logging

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import (
    FoundryLocalError,
    InsufficientMemory,
    ModelCorrupted,
    OperationCancelled,
    ServerStartFailed,
    ServerStartTimeout,
    SystemExhausted,
)
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.roster import Replica
from foundrylocal.server.load import load_and_report, obtain, plan_or_refuse, reuse_and_report
from foundrylocal.server.parts import ServerParts
from foundrylocal.server.port import OpenPort
from foundrylocal.server.requests import ServerInfo, StartRequest
from foundrylocal.server.start import Start
from foundrylocal.server.state import Status

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

LOAD_FAILURES = (ServerStartFailed, ServerStartTimeout, InsufficientMemory, ModelCorrupted, SystemExhausted)


class Switch:
    """`begin` is the operation; the rest is its work."""

    def __init__(self, parts: ServerParts, start: Start) -> None:
        self._parts = parts
        self._start = start

    async def begin(self, model: Model, request: StartRequest) -> Operation[ServerInfo]:
        """Begin to switch, or to start when nothing runs. Raises OperationInProgress and what a start raises."""
        parts = self._parts
        parts.operations.refuse_unless_idle()
        await parts.operations.unload_ended()
        parts.operations.refuse_unless_idle()
        if parts.state.status is not Status.RUNNING:
            return await self._start.begin(model, request)
        operation = parts.operations.begin_change(
            "The switch", lambda operation: self._run(operation, model, request)
        )
        parts.state.move(Status.SWITCHING, parts.state.current)
        await operation.begun()
        return operation

    async def _run(self, operation: Operation[ServerInfo], model: Model, request: StartRequest) -> ServerInfo:
        parts, previous = self._parts, self._parts.state.current
        new_port: OpenPort | None = None
        try:
            plan = await plan_or_refuse(parts.pool, model, request, is_switch=True)
            new_port = await parts.port.open_second(request.port)
            operation.admit()
            spec = await obtain(parts.pool, parts.supply, operation, plan, request, is_switch=True)
            old = parts.pool.get(previous) if previous is not None else None
            replica = await self._exchange(operation, previous, spec, model, request)
            parts.current.adopt(replica, request, is_stopping=parts.operations.is_stopping)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._undo(error, previous, new_port)
            raise
        finally:
            parts.gate.open()
        # Of the same model, the load has replaced all replicas that are not like the new one.
        if old is not None and previous is not model and not parts.pool.stay(old).is_pinned:
            parts.pool.retire_model(old.model)
        with anyio.CancelScope(shield=True):
            await parts.port.move_to(new_port)
            await parts.remember(model, request)
        log.info("Switched to %s", model.simple_name)
        return parts.info(model)

    async def _exchange(
        self,
        operation: Operation[ServerInfo],
        previous: Model | None,
        spec: ReplicaSpec,
        model: Model,
        request: StartRequest,
    ) -> Replica:
        parts = self._parts
        if (there := reuse_and_report(parts.pool, operation, model, spec)) is not None:
            return there
        if previous is not None and not await parts.pool.fits_beside(model, spec):
            parts.gate.close()
            # It may be loading again after a crash: it has memory then, and can leave only when it is ready.
            old = await parts.pool.settled(previous)
            if old is not None and (previous is model or not parts.pool.stay(old).is_pinned):
                await parts.pool.unload_model(old.model, parts.settings.current.drain_seconds)
        return await load_and_report(parts.pool, operation, model, spec, request)

    async def _undo(self, error: BaseException, previous: Model | None, new_port: OpenPort | None) -> None:
        parts = self._parts
        if isinstance(error, FoundryLocalError) and not parts.operations.is_stopping:
            parts.state.fail(error)
            log.error("Switch failed: %s", error.details or error.message)
        await parts.port.abandon(new_port)
        if parts.operations.is_stopping or previous is None:
            return
        is_serving = True
        if parts.pool.get(previous) is None:
            try:
                await parts.current.reload(previous)
            except (SystemExhausted, OperationCancelled):
                is_serving = False  # our own shortage, or an unload: the next request loads it
            except FoundryLocalError as second:
                parts.current.give_up(second)
                return
        if parts.operations.is_stopping:
            return
        if is_serving and isinstance(error, LOAD_FAILURES):
            still = f"The previous model '{previous.simple_name}' is still serving requests."
            error.details = f"{error.details or error.message} {still}"
        parts.state.move(Status.RUNNING, previous)
