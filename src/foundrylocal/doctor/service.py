"""The doctor of a running service: it examines the machine with the service's own owners."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.catalog.starter import STARTER_MODEL
from foundrylocal.doctor.engine import LOAD_TIMEOUT_S
from foundrylocal.doctor.runner import Checked, run_checks
from foundrylocal.doctor.standard import Subject, standard_checks
from foundrylocal.doctor.starter import load_seconds
from foundrylocal.engine.devices import Device
from foundrylocal.home.folders import Folders
from foundrylocal.server.server import Server
from foundrylocal.settings.store import SettingsStore


class Doctor:
    """One examination at a time: each one starts processes."""

    def __init__(
        self,
        folders: Folders,
        settings: SettingsStore,
        registry: Registry,
        library: Library,
        server: Server,
        devices: Callable[[], Awaitable[Sequence[Device]]],
    ) -> None:
        self._folders = folders
        self._settings = settings
        self._registry = registry
        self._library = library
        self._server = server
        self._devices = devices
        self._turn = anyio.Lock()

    async def examine(self) -> list[Checked]:
        """The results of all checks; takes as long as the slowest one."""
        async with self._turn:
            return await run_checks(standard_checks(self._subject()))

    def _subject(self) -> Subject:
        settings, snapshot = self._settings.current, self._server.snapshot()
        starter = self._registry.find(STARTER_MODEL)
        return Subject(
            folders=self._folders,
            settings=settings,
            starter=starter,
            load_starter=lambda: load_seconds(
                self._library, starter, lambda spec: self._server.pool.trial(spec, LOAD_TIMEOUT_S)
            ),
            devices=self._devices,
            own_ports=frozenset({settings.api_port, *([snapshot.port] if snapshot.port else [])}),
        )
