"""Resume: a service that was killed goes on with the replicas of the one before it, where those have outlived it.

In order: the port is bound, the replicas are adopted, the server runs. Invariant: a replica that is not adopted is
ended, so that no memory is held which nobody knows of.
"""

from __future__ import annotations

import logging

import anyio

from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import Adopted
from foundrylocal.errors import (
    ClusterUnreachable,
    FoundryLocalError,
    ModelNotFound,
    OperationCancelled,
    ServerStartFailed,
)
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.roster import Replica
from foundrylocal.server.desired import Desired, DesiredFile
from foundrylocal.server.parts import ServerParts
from foundrylocal.server.requests import ServerInfo, StartRequest
from foundrylocal.server.state import Status

log = logging.getLogger("foundrylocal.FoundryLocalApiService")


class Resume:
    """Runs once, before the first operation of the server."""

    def __init__(self, parts: ServerParts, launcher: Launcher, registry: Registry) -> None:
        self._parts = parts
        self._launcher = launcher
        self._registry = registry
        self._desired: DesiredFile = parts.desired

    async def run(self) -> None:
        """Go on with what is there and is still wanted; end the rest."""
        desired = await self._desired.read()
        try:
            found = await self._launcher.adopted()
        except ClusterUnreachable as error:
            log.warning("No replica can be adopted: %s", error.details)
            found = []
        self._parts.supply.number_after(one.spec.id for one in found)
        model = self._find(desired.model_id) if desired else None
        is_there = model is not None and any(one.spec.model_id == model.model_id for one in found)
        if desired is None or model is None or not is_there or self._parts.state.status is not Status.STOPPED:
            await self._end(found)
            await self._desired.clear()
            return
        await self._resume(desired, model, found)

    async def _resume(self, desired: Desired, model: Model, found: list[Adopted]) -> None:
        operation = self._parts.operations.begin_change(
            "The resumption", lambda operation: self._work(operation, desired, model, found)
        )
        self._parts.state.move(Status.STARTING, model)
        try:
            await operation.result()
            log.info("Resumed %s on port %d with %d replicas", model.simple_name, desired.port, len(found))
        except FoundryLocalError as error:
            log.error("The server could not be resumed: %s", error.details or error.message)

    async def _work(
        self, operation: Operation[ServerInfo], desired: Desired, model: Model, found: list[Adopted]
    ) -> ServerInfo:
        parts = self._parts
        request = StartRequest(
            desired.model_id,
            desired.port,
            may_download=False,
            health_period_s=desired.health_period_s,
            options=desired.options,
        )
        try:
            await parts.port.open(desired.port)
            operation.admit()
            adopted = await self._adopt(model, request, found)
            own = next((one for one in adopted if one.model is model), None)
            if own is None:
                raise ServerStartFailed("Its replicas ended before they could be adopted.")
            parts.current.adopt(own, request, is_stopping=parts.operations.is_stopping)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._undo(error, found)
            raise
        return parts.info(model)

    async def _adopt(self, model: Model, request: StartRequest, found: list[Adopted]) -> list[Replica]:
        """The replicas of the server's model and of others that it had loaded; those of unknown models are ended."""
        adopted: list[Replica] = []
        for one in found:
            known = self._find(one.spec.model_id)
            if known is None:
                await self._launcher.kill(one.spec.id)
                continue
            options = request.options if known is model else None
            adopted.append(await self._parts.pool.adopt(known, one, options))
        return adopted

    def _find(self, model_id: str) -> Model | None:
        try:
            return self._registry.find(model_id)
        except ModelNotFound:
            return None  # an imported model that was deleted

    async def _end(self, found: list[Adopted]) -> None:
        for one in found:
            log.info("%s is not wanted any more: its replica is ended", one.spec.model_id)
            await self._launcher.kill(one.spec.id)

    async def _undo(self, error: BaseException, found: list[Adopted]) -> None:
        parts = self._parts
        if parts.operations.is_stopping:
            await self._end(found)  # the stop knows only those that were adopted already
            return
        if isinstance(error, FoundryLocalError) and not isinstance(error, OperationCancelled):
            parts.state.fail(error)
        await parts.port.close()
        await parts.pool.unload_all(0)
        await self._end(found)
        await self._desired.clear()
        parts.state.move(Status.STOPPED, None)
