"""Models that failed a moment ago: the owner of how often, why, and until when they are not tried again.

Invariant: a count is forgotten after FORGET_AFTER_S without a further failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import ModelLoading

FORGET_AFTER_S = 600.0


@dataclass(frozen=True, slots=True)
class _Cooldown:
    """Times by the clock of its owner."""

    count: int
    last: float
    until: float
    reason: str


class Cooldowns:
    """By model; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = anyio.current_time) -> None:
        self._clock = clock
        self._by_id: dict[str, _Cooldown] = {}

    def count(self, model: Model) -> int:
        """How many failures there were with less than FORGET_AFTER_S between one and the next."""
        before = self._by_id.get(model.model_id)
        return before.count if before and self._clock() - before.last < FORGET_AFTER_S else 0

    def note(self, model: Model, reason: str, pause_s: float) -> None:
        """The model failed: do not try it again for `pause_s`."""
        now = self._clock()
        self._by_id[model.model_id] = _Cooldown(self.count(model) + 1, now, now + pause_s, reason)

    def refuse_while_cooling(self, model: Model) -> None:
        """Raise ModelLoading with the reason of the failure while the pause lasts."""
        cooldown = self._by_id.get(model.model_id)
        wait_s = cooldown.until - self._clock() if cooldown else 0.0
        if cooldown and wait_s > 0:
            raise ModelLoading(model.simple_name, cooldown.reason, max(1, round(wait_s)))

    def is_cooling(self, model: Model) -> bool:
        """Whether it failed and is not tried again for now."""
        cooldown = self._by_id.get(model.model_id)
        return cooldown is not None and self._clock() < cooldown.until

    def clear(self) -> None:
        """Forget all failures: somebody starts anew."""
        self._by_id.clear()
