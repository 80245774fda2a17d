"""Stop: end whatever there is, an operation under way included. Nothing undoes it, and nothing interrupts it."""

from __future__ import annotations

import logging

import anyio

from foundrylocal.server.parts import ServerParts
from foundrylocal.server.state import Status

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

STOPPED = "Server stopped successfully"
NOT_RUNNING = "Server is not running"


class Stop:
    """Callers at the same time share one stop."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts

    async def run(self) -> str:
        """Stop, and return the published message."""
        state = self._parts.state
        if state.status is Status.STOPPED and not self._parts.operations.is_stopping:
            state.stay_stopped()
            return NOT_RUNNING
        # After a failure nothing runs any more, but what is left of it is cleared all the same.
        message = NOT_RUNNING if state.status is Status.ERROR else STOPPED

        async def work() -> str:
            with anyio.CancelScope(shield=True):
                await self._clear()
            log.info(STOPPED)
            return message

        return await self._parts.operations.stop(work, lambda: state.move(Status.STOPPING, state.current))

    async def _clear(self) -> None:
        parts = self._parts
        # A switch that is undone waits for the load of the model before it, which nobody needs any more.
        parts.pool.cancel_loads()
        await parts.operations.cancel_all()
        parts.gate.open()
        await parts.desired.clear()
        await parts.pool.unload_all(0)
        parts.pool.set_current(None)
        await parts.port.close()
        parts.state.move(Status.STOPPED, None)
