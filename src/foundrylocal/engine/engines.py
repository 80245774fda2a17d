"""The engines of this service, by name: the built-in one, and those of the `engines` setting.

Invariant: a name stands for one engine at a time; one whose path has changed is a new engine that is probed anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio

from foundrylocal.engine.devices import free_gpu_bytes
from foundrylocal.engine.engine import BUILT_IN, Engine, EngineReport
from foundrylocal.engine.llama_server.engine import LlamaServer
from foundrylocal.errors import UnknownEngine

Configured = Callable[[], Awaitable[Mapping[str, str]]]
"""The `engines` setting as of now: paths of binaries by name."""


async def none_configured() -> Mapping[str, str]:
    """A service with the built-in engine alone."""
    return {}


class Engines:
    """Finds engines by name. `configured` is asked on each call, so that an added engine needs no restart."""

    def __init__(self, built_in: Engine, configured: Configured = none_configured) -> None:
        self._built_in = built_in
        self._configured = configured
        self._binaries: dict[str, LlamaServer] = {}

    async def all(self) -> list[Engine]:
        """All engines, the built-in one first, the others by name."""
        configured = dict(await self._configured())
        configured.pop(BUILT_IN, None)
        known = self._binaries
        self._binaries = {
            name: known[name]
            if name in known and known[name].path == Path(path)
            else LlamaServer(name, Path(path))
            for name, path in sorted(configured.items())
        }
        return [self._built_in, *self._binaries.values()]

    async def find(self, name: str | None) -> Engine | None:
        """The engine of that name, the built-in one for None; None when there is no such engine."""
        if name is None or name == BUILT_IN:
            return self._built_in
        return next((engine for engine in await self.all() if engine.name == name), None)

    async def get(self, name: str | None) -> Engine:
        """The same. Raises UnknownEngine when there is no such engine."""
        engine = await self.find(name)
        if engine is None:
            raise UnknownEngine(str(name), [one.name for one in await self.all()])
        return engine

    async def report(self, name: str | None) -> EngineReport:
        """What that engine says of itself. Raises UnknownEngine when there is no such engine."""
        return await (await self.get(name)).report()

    def known_gpus(self, name: str | None = None) -> tuple[int, ...]:
        """The free bytes of each GPU by the last report of that engine, without asking it; none before the first.

        Without a name, by the engine that sees the most of them: one build may not know all GPUs of the machine.
        """
        engines = [self._built_in, *self._binaries.values()]
        found = [
            free_gpu_bytes(engine.known_devices) for engine in engines if name is None or engine.name == name
        ]
        return max(found, key=len, default=())

    async def reports(self) -> list[tuple[Engine, EngineReport]]:
        """What every engine says of itself; they are asked concurrently, so one that hangs delays no other."""
        engines = await self.all()
        found: dict[str, EngineReport] = {}

        async def ask(engine: Engine) -> None:
            found[engine.name] = await engine.report()

        async with anyio.create_task_group() as group:
            for engine in engines:
                group.start_soon(ask, engine)
        return [(engine, found[engine.name]) for engine in engines]
