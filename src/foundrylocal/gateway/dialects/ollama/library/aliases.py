"""Further names of models: Ollama's copies are entries of the setting `aliases`.

Invariant: an alias never hides a model of the registry.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from foundrylocal.catalog.ollama_names import find_alias, without_latest
from foundrylocal.catalog.presets import PresetStore, alias_key
from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.errors import ModelNotFound
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.presets import Preset

NO_PRESET = Preset.model_validate({})
_FIXED = "the setting 'aliases' is fixed by the environment or the command line: add the name there"


class Aliases:
    """Changes the setting and the presets of aliases; their stores are the owners."""

    def __init__(self, settings: SettingsStore, registry: Registry, presets: PresetStore) -> None:
        self._settings = settings
        self._registry = registry
        self._presets = presets
        self._lock = anyio.Lock()

    def preset_of(self, name: str, model: Model) -> Preset:
        """The preset of requests that name the model so."""
        return self._presets.for_request(name, model.model_id)

    def own_preset(self, name: str) -> Preset:
        """What an alias has beside the preset of its model; empty for any other name."""
        return self._presets.of(alias_key(name))

    async def add(self, name: str, model: Model, preset: Preset, *, param: str = "destination") -> None:
        """Give a model a further name with a preset of its own; one of that name is replaced. Raises InvalidRequest.

        `param` is the field of the request that has the name.
        """
        alias = without_latest(name)
        if self._is_model(alias):
            refuse(param, f"is already the name of a model: '{alias[:200]}'")
        async with self._lock:
            aliases = dict(self._settings.current.aliases)
            if (before := find_alias(alias, aliases)) is not None:
                del aliases[before]
            await self._save({**aliases, alias: model.simple_name}, param)
            await self._save_preset(alias, preset)

    async def remove(self, name: str) -> bool:
        """Take a name away; False when it is no alias. Raises InvalidRequest."""
        async with self._lock:
            aliases = self._settings.current.aliases
            alias = find_alias(name, aliases)
            if alias is None:
                return False
            await self._save({one: aliases[one] for one in aliases if one != alias}, "model")
            await self._save_preset(alias, NO_PRESET)
            return True

    def _is_model(self, name: str) -> bool:
        try:
            self._registry.find(name)
        except ModelNotFound:
            return False
        return True

    async def _save_preset(self, alias: str, preset: Preset) -> None:
        key = alias_key(alias)
        changes = {**dict.fromkeys(self._presets.of(key).saved()), **preset.saved()}
        if changes:
            await anyio.to_thread.run_sync(self._presets.change, key, changes)

    async def _save(self, aliases: Mapping[str, str], param: str) -> None:
        if "aliases" in self._settings.overridden:
            refuse(param, f"cannot be saved: {_FIXED}")
        await anyio.to_thread.run_sync(lambda: self._settings.update({"aliases": dict(aliases)}))
