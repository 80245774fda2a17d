"""Further names of models: Ollama's copies are entries of the setting `aliases`.

Invariant: an alias never hides a model of the registry.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from foundrylocal.catalog.ollama_names import without_latest
from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.errors import ModelNotFound
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.settings.store import SettingsStore

_FIXED = "the setting 'aliases' is fixed by the environment or the command line: add the name there"


class Aliases:
    """Changes the setting; the store is its owner."""

    def __init__(self, settings: SettingsStore, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._lock = anyio.Lock()

    async def add(self, name: str, model: Model) -> None:
        """Give a model a further name, or give the name to another model. Raises InvalidRequest."""
        alias = without_latest(name)
        if self._is_model(alias):
            refuse("destination", f"is the name of a model already: '{alias[:200]}'")
        async with self._lock:
            await self._save({**self._settings.current.aliases, alias: model.simple_name})

    async def remove(self, name: str) -> bool:
        """Take a name away; False when it is no alias. Raises InvalidRequest."""
        async with self._lock:
            alias = without_latest(name)
            left = {one: target for one, target in self._settings.current.aliases.items() if one != alias}
            if len(left) == len(self._settings.current.aliases):
                return False
            await self._save(left)
            return True

    def _is_model(self, name: str) -> bool:
        try:
            self._registry.find(name)
        except ModelNotFound:
            return False
        return True

    async def _save(self, aliases: Mapping[str, str]) -> None:
        if "aliases" in self._settings.overridden:
            refuse("destination", f"cannot be saved: {_FIXED}")
        await anyio.to_thread.run_sync(lambda: self._settings.update({"aliases": dict(aliases)}))
