"""Background tasks that end with their owner."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVarTuple

import anyio
import anyio.abc

from foundrylocal.errors import ServerShuttingDown
from foundrylocal.kit.contain import contain

Args = TypeVarTuple("Args")


class TaskHost:
    """A task group that is open for the time of its owner's `run`; a task that fails ends alone."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._group: anyio.abc.TaskGroup | None = None

    @property
    def is_open(self) -> bool:
        return self._group is not None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Take tasks until the end of the block; then cancel those that still run."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield
            finally:
                self._group = None
                group.cancel_scope.cancel()

    def spawn(self, work: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
        """Run `work(*args)` in the background. Raises ServerShuttingDown when the host is not open."""
        if self._group is None:
            raise ServerShuttingDown
        self._group.start_soon(contain, self._log, work, *args)
