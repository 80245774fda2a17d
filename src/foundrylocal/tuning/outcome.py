"""What a tuning found, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foundrylocal.catalog.registry import Model
from foundrylocal.tuning.search import Choice, Speed


@dataclass(frozen=True, slots=True)
class Trial:
    """One measurement."""

    choice: Choice
    speed: Speed


@dataclass(frozen=True, slots=True)
class Tuned:
    """The options before and after with their speeds; they are the same when nothing better was found."""

    model: Model
    before: Choice
    before_speed: Speed
    after: Choice
    after_speed: Speed
    trials: tuple[Trial, ...]
    seconds: float

    @property
    def changes(self) -> dict[str, Any]:
        """The values that the preset gets; empty when nothing better was found."""
        before = self.before.as_options()
        return {name: value for name, value in self.after.as_options().items() if value != before[name]}

    @property
    def gain_percent(self) -> float:
        """How much sooner a request of 512 prompt and 128 answer tokens is answered."""
        return round((self.before_speed.request_s / self.after_speed.request_s - 1) * 100, 1)

    @property
    def message(self) -> str:
        if not self.changes:
            return "No better options were found; nothing was changed"
        options = ", ".join(f"{name}={value}" for name, value in self.changes.items())
        return f"Preset saved: {options}. Requests are answered {self.gain_percent:.0f} % sooner"


def describe(choice: Choice) -> str:
    """`2 threads, batches of 256, f16`."""
    threads = (
        "threads auto"
        if choice.threads is None
        else f"{choice.threads} thread{'' if choice.threads == 1 else 's'}"
    )
    batch = "batches auto" if choice.batch_tokens is None else f"batches of {choice.batch_tokens}"
    return f"{threads}, {batch}, {choice.kv_cache_type}"
