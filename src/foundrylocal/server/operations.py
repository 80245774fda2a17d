"""Which operations are under way: at most one start or switch, one stop and one unload of everything.

Invariant: an operation belongs to the service, so a caller that disconnects cancels nothing; callers of the same
stop or unload share it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from foundrylocal.errors import OperationInProgress
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.server.requests import ServerInfo
from foundrylocal.server.state import IN_PROGRESS, ServerState

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

STARTED = "Server started successfully"
UNLOADED = "All models unloaded successfully"

Work = Callable[[Operation[ServerInfo]], Awaitable[ServerInfo]]


class Operations:
    """The owner of the operations under way; what they do is in a module each: start, switch, stop, unload."""

    def __init__(self, state: ServerState, tasks: TaskHost) -> None:
        self._state = state
        self._tasks = tasks
        self._change: Operation[ServerInfo] | None = None
        self._stop: Operation[str] | None = None
        self._unload: Operation[None] | None = None

    @property
    def is_stopping(self) -> bool:
        return self._stop is not None

    def refuse_unless_idle(self) -> None:
        """Raise OperationInProgress while the server starts, switches or stops."""
        if self._state.status in IN_PROGRESS:
            raise OperationInProgress(self._state.status)

    def begin_change(self, name: str, work: Work) -> Operation[ServerInfo]:
        """Begin a start or a switch in the background."""
        operation: Operation[ServerInfo] = Operation(name)

        async def run() -> None:
            await operation.run(lambda: work(operation), lambda info: STARTED, _log_fault)

        self._tasks.spawn(run)
        self._change = operation
        return operation

    async def stop(self, work: Callable[[], Awaitable[str]], begin: Callable[[], None]) -> str:
        """Do the work of a stop, after `begin`; or share the stop that is under way."""
        if self._stop is None:
            operation: Operation[str] = Operation("The stop")

            async def run() -> None:
                try:
                    await operation.run(work, lambda message: message, _log_fault)
                finally:
                    self._stop = None

            self._tasks.spawn(run)
            self._stop = operation
            begin()
        return await self._stop.result()

    async def unload(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work of an unload, or share the one that is under way."""
        if self._unload is None:
            operation: Operation[None] = Operation("The unload")

            async def run() -> None:
                try:
                    await operation.run(work, lambda nothing: UNLOADED, _log_fault)
                finally:
                    self._unload = None

            self._tasks.spawn(run)
            self._unload = operation
        await self._unload.result()

    async def unload_ended(self) -> None:
        """Wait for the end of an unload that is under way, whatever it is."""
        if self._unload is not None:
            await self._unload.ended()

    async def cancel_all(self) -> None:
        """Cancel a start, switch or unload under way, and wait until it has undone what it did."""
        for running in (self._change, self._unload):
            if running is not None and not running.is_ended:
                running.cancel()
                await running.ended()


def _log_fault(error: Exception) -> None:
    log.error("Unexpected error in an operation: %r", error, exc_info=error)
