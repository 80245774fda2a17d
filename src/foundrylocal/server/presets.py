"""The preset of one model as its users see it: what is saved, what that leads to, and when a change takes effect.

Invariant: a change that is impossible for the model is refused as a whole, and `dry_run` saves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import anyio.to_thread

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model
from foundrylocal.errors import EngineUnavailable, InvalidRequest, ModelCorrupted
from foundrylocal.pool.options import residency
from foundrylocal.pool.plan import Plan
from foundrylocal.pool.pool import Pool
from foundrylocal.pool.possible import NotPossible, refuse_impossible
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import LoadOptions, Residency
from foundrylocal.wire.options_report import Source
from foundrylocal.wire.presets import Applies, Preset, RequestDefaults

# What the pool and the gateway look up each time; everything else is a property of a replica.
_AT_ONCE = frozenset({*RequestDefaults.model_fields, *Residency.model_fields})


@dataclass(frozen=True, slots=True)
class PresetView:
    """What is saved for a model, and for each value that its next load and requests use where it comes from."""

    model: Model
    saved: Mapping[str, Any]
    effective: Mapping[str, Any]
    sources: Mapping[str, Source]
    applies: Mapping[str, Applies]
    """The values that a change has changed, and when they hold; empty for a view without a change."""


class ModelPresets:
    """Reads and changes presets; the store owns them."""

    def __init__(self, store: PresetStore, pool: Pool, settings: SettingsStore) -> None:
        self._store = store
        self._pool = pool
        self._settings = settings

    async def show(self, model: Model) -> PresetView:
        """The preset of a model as it is. Raises AdapterNotStartable for a LoRA adapter, which has none."""
        return await self._view(model, self._store.of(model.model_id), {})

    async def change(
        self, model: Model, changes: Mapping[str, Any], *, is_dry_run: bool = False
    ) -> PresetView:
        """Save these values; null removes one.

        Raises ValidationError, InvalidRequest that names a field which is impossible for this model, PresetNotSaved.
        """
        before, preset = self._store.of(model.model_id), self._store.merged(model.model_id, changes)
        plan = await self._plan(model, preset)
        refuse_impossible(model, plan.files if plan else None, preset, changes.keys())
        _refuse_missing_companion(plan, changes.keys())
        if not is_dry_run:
            preset = await anyio.to_thread.run_sync(self._store.change, model.model_id, changes)
        return await self._view(model, preset, _changed(before, preset))

    async def reset(self, model: Model) -> PresetView:
        """Remove the preset of a model. Raises PresetNotSaved."""
        before = self._store.of(model.model_id)
        await anyio.to_thread.run_sync(self._store.remove, model.model_id)
        preset = self._store.of(model.model_id)
        return await self._view(model, preset, _changed(before, preset))

    async def _plan(self, model: Model, preset: Preset) -> Plan | None:
        try:
            return await self._pool.plan(model, LoadOptions(), preset=preset)
        except ModelCorrupted:
            return None

    async def _view(self, model: Model, preset: Preset, applies: Mapping[str, Applies]) -> PresetView:
        plan = await self._plan(model, preset)
        effective, sources = self._of_loads(model, preset, plan)
        kept, kept_sources = residency(LoadOptions(), preset, self._settings.current)
        recommended = dict(plan.files.header.sampling) if plan and plan.files else {}
        for name in RequestDefaults.model_fields:
            value = getattr(preset, name)
            sources[name] = "preset" if value is not None else "model" if name in recommended else "auto"
            effective[name] = recommended.get(name) if value is None else value
        effective |= kept.model_dump(mode="json")
        return PresetView(model, preset.saved(), effective, sources | kept_sources, applies)

    def _of_loads(
        self, model: Model, preset: Preset, plan: Plan | None
    ) -> tuple[dict[str, Any], dict[str, Source]]:
        if plan is not None:
            return plan.report.effective.model_dump(mode="json"), dict(plan.report.sources)
        wanted = self._pool.want(model, LoadOptions(), preset)  # its files or its engine are unusable
        return wanted.values.model_dump(mode="json"), dict(wanted.sources)


def _refuse_missing_companion(plan: Plan | None, changed: Collection[str]) -> None:
    """Refuse an engine that cannot run here, and a draft model that is not there or does not fit."""
    refusal = plan.refusal if plan else None
    if refusal is None or refusal.param not in changed:
        return
    if isinstance(refusal, EngineUnavailable):
        raise NotPossible("engine", f"{refusal.message}. {refusal.details}")
    if isinstance(refusal, InvalidRequest):
        raise refusal


def is_at_once(name: str) -> bool:
    """Whether a change of this value holds at once; the others hold from the next load of the model on."""
    return name in _AT_ONCE


def _changed(before: Preset, after: Preset) -> dict[str, Applies]:
    return {
        name: "at_once" if is_at_once(name) else "next_load"
        for name in Preset.model_fields
        if getattr(before, name) != getattr(after, name)
    }
