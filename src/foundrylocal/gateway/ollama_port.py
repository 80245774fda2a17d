"""The port on which programs that only know Ollama find this service: on loopback, without a key.

Invariant: a port that cannot be opened is logged with its owner and the next step, and nothing else changes: the
service runs without it, and a changed setting is tried again.
"""

from __future__ import annotations

import asyncio
import logging

import anyio
import anyio.abc

from foundrylocal.errors import FoundryLocalError
from foundrylocal.settings.schema import Settings
from foundrylocal.settings.store import SettingsStore
from foundrylocal.web.asgi import App, Receive, Scope, Send
from foundrylocal.web.listener import Listener, bind_or_name_owner

log = logging.getLogger("foundrylocal.FoundryLocalService")

HOST = "localhost"
GRACE_S = 2.0
CONNECTIONS_SHARE = 0.125
OLLAMA_ROOT_TEXT = "Ollama is running"
_MARK = "foundrylocal.ollama_port"


def is_on_ollama_port(scope: Scope) -> bool:
    """Whether a request came in on Ollama's port, where no key is asked for."""
    return _MARK in scope.get("extensions", {})


class Keyless:
    """Marks the requests of Ollama's port for the gateway."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "extensions": {**scope.get("extensions", {}), _MARK: {}}}, receive, send)


class OllamaPort:
    """Keeps the port of the setting `ollama_port` open; `app` answers on it."""

    def __init__(self, settings: SettingsStore, app: App) -> None:
        self._settings = settings
        self._app = app
        self._wanted = settings.current.ollama_port
        self._changed = anyio.Event()
        self._listener: Listener | None = None
        self.problem: FoundryLocalError | None = None

    @property
    def url(self) -> str | None:
        """Where it answers; None while it is off or could not be opened."""
        return self._listener.url if self._listener else None

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Open the port, and follow the setting until cancelled."""
        loop = asyncio.get_running_loop()
        # Settings are saved in threads.
        self._settings.on_change(lambda settings: _tell(loop, self._follow, settings))
        async with anyio.create_task_group() as group:
            while True:
                self._changed = anyio.Event()
                await self._apply(self._wanted, group)
                task_status.started()
                task_status = anyio.TASK_STATUS_IGNORED
                await self._changed.wait()

    def _follow(self, settings: Settings) -> None:
        if settings.ollama_port != self._wanted:
            self._wanted = settings.ollama_port
            self._changed.set()

    async def _apply(self, port: int | None, group: anyio.abc.TaskGroup) -> None:
        listener, self._listener, self.problem = self._listener, None, None
        if listener is not None:
            await listener.close(GRACE_S)
        if port is None:
            return
        try:
            sockets = await bind_or_name_owner(HOST, port)
        except FoundryLocalError as error:
            self.problem = error
            log.error(
                "Port %d for Ollama's clients could not be opened: %s. The service runs without it: end the other "
                "program (Ollama itself is ended by 'ollama stop' or its menu) and set ollama_port again.",
                port,
                error.message,
            )
            return
        listener = Listener(self._app, sockets, descriptor_share=CONNECTIONS_SHARE)
        await group.start(listener.serve)
        self._listener = listener
        log.info("Ollama's API listening on %s, without a key", listener.url)


def _tell(loop: asyncio.AbstractEventLoop, follow: object, settings: Settings) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(follow, settings)  # type: ignore[arg-type]
