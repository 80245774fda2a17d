"""The gateway's port: bound when the server starts, released when it stops."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import anyio.abc

from foundrylocal.server.port import OpenPort
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import App
from foundrylocal.web.listener import Listener, bind_or_name_owner

log = logging.getLogger("foundrylocal.FoundryLocalService")


class GatewayPortOpener:
    """Opens ports for the app that `make_app` returns: a function, since app and server need one another."""

    def __init__(self, settings: SettingsStore, make_app: Callable[[], App]) -> None:
        self._settings = settings
        self._make_app = make_app
        self._group: anyio.abc.TaskGroup | None = None

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            task_status.started()
            await anyio.sleep_forever()

    async def open(self, port: int) -> OpenPort:
        assert self._group is not None  # noqa: S101 - run is running
        sockets = await bind_or_name_owner(self._settings.current.gateway_host, port)
        listener = Listener(self._make_app(), sockets)
        try:
            await self._group.start(self._hold, listener)
        except BaseException:
            # Cancelled before the task had its first step: nobody else would close what is bound.
            for sock in sockets:
                sock.close()
            raise
        return listener

    async def _hold(self, listener: Listener, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """A fault of one listener ends that one, not the service."""
        try:
            await listener.serve(task_status=task_status)
        except Exception as error:
            log.error("The gateway's port %d failed: %r", listener.port, error, exc_info=error)
