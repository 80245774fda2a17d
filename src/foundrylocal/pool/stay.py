"""How long a replica stays in memory: pinned or not, and its idle limit.

Looked up each time it matters, so that a change of the preset or the setting holds at once. Invariant: a pinned
replica is never unloaded for another model or for being idle; the server's own model is unloaded for being idle only
if its preset or its options say so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.pool.options import residency
from foundrylocal.pool.roster import Replica
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import LoadOptions


@dataclass(frozen=True, slots=True)
class Stay:
    """Whether its user pinned it, and after how many idle seconds it is unloaded; None is never."""

    is_pinned: bool
    idle_limit_s: float | None


class StayRules:
    """Asks the presets and the settings; owns nothing."""

    def __init__(self, presets: PresetStore, settings: SettingsStore) -> None:
        self._presets = presets
        self._settings = settings

    def of(self, replica: Replica) -> Stay:
        """How long the replica stays, as of now."""
        report = replica.spec.report
        request = report.wanted.request if report else LoadOptions()
        preset = self._presets.of(replica.spec.model_id)
        found, sources = residency(request, preset, self._settings.current)
        if found.pinned:
            return Stay(True, None)
        if replica.keep_alive_s is not None:  # a request said so
            return Stay(False, None if math.isinf(replica.keep_alive_s) else replica.keep_alive_s)
        is_general = sources["idle_unload_seconds"] not in ("request", "preset")
        if not found.idle_unload_seconds or (replica.is_current and is_general):
            return Stay(False, None)
        return Stay(False, found.idle_unload_seconds)

    def is_pinned(self, replica: Replica) -> bool:
        """Whether its user pinned it."""
        return self.of(replica).is_pinned
