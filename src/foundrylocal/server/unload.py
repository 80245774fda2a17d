"""Unload: free the memory of all models while the server keeps running; the next request loads its model again."""

from __future__ import annotations

import logging

from foundrylocal.server.operations import UNLOADED
from foundrylocal.server.parts import ServerParts

log = logging.getLogger("foundrylocal.FoundryLocalApiService")


class Unload:
    """Callers at the same time share one unload."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Unload everything; requests have the drain time to end. Raises OperationInProgress, OperationCancelled."""
        self._parts.operations.refuse_unless_idle()
        await self._parts.operations.unload(self._work)

    async def _work(self) -> None:
        self._parts.recovery.abandon()
        await self._parts.pool.unload_all(self._parts.settings.current.drain_seconds)
        log.info(UNLOADED)
