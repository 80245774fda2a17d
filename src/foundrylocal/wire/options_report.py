"""What a load was asked for, and what became of it: facts that travel with a plan and with its replica."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from foundrylocal.wire.load_options import EffectiveOptions, LoadOptions, ModelOptions

Source = Literal["request", "preset", "setting", "model", "auto"]
"""Where a value comes from, in order: the first that has one decides. `model` is the model's own file."""


@dataclass(frozen=True, slots=True)
class WantedOptions:
    """The value of each load option by the first level that has it, where it comes from, and the request's own."""

    values: ModelOptions
    sources: Mapping[str, Source]
    request: LoadOptions


@dataclass(frozen=True, slots=True)
class OptionsReport:
    """`wanted` beside `effective`; `reasons` says for each option that could not be honored as asked why."""

    wanted: WantedOptions
    effective: EffectiveOptions
    sources: Mapping[str, Source]
    reasons: Mapping[str, str]

    def not_honored(self) -> dict[str, str]:
        """The reasons that concern options of the request or the preset: a setting is only a general default."""
        return {
            name: reason
            for name, reason in self.reasons.items()
            if self.wanted.sources.get(name) in ("request", "preset")
        }

    def shown(self) -> dict[str, Any]:
        """The report as answers show it."""
        return {
            "asked": self.wanted.values.model_dump(mode="json"),
            "effective": self.effective.model_dump(mode="json"),
            "sources": dict(self.sources),
            "reasons": dict(self.reasons),
        }
