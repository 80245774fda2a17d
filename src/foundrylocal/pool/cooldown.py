"""Models that failed a moment ago: the owner of how often, why, and until when they are not tried again.

Invariant: a count is forgotten after FORGIVE_AFTER_S without a further failure.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import ModelLoading

FORGIVE_AFTER_S = 600.0


@dataclass(frozen=True, slots=True)
class _Cooldown:
    """Times by the monotonic clock."""

    count: int
    last: float
    until: float
    reason: str


class Cooldowns:
    """By model; all of them are forgotten when somebody starts anew."""

    def __init__(self) -> None:
        self._by_id: dict[str, _Cooldown] = {}

    def count(self, model: Model) -> int:
        """How often it failed without FORGIVE_AFTER_S of good health in between."""
        before = self._by_id.get(model.model_id)
        return before.count if before and anyio.current_time() - before.last < FORGIVE_AFTER_S else 0

    def note(self, model: Model, reason: str, pause_s: float) -> None:
        """It failed; do not try it again for `pause_s`."""
        now = anyio.current_time()
        self._by_id[model.model_id] = _Cooldown(self.count(model) + 1, now, now + pause_s, reason)

    def refuse_while_pausing(self, model: Model) -> None:
        """Raise ModelLoading with the reason while the pause lasts."""
        trouble = self._by_id.get(model.model_id)
        wait_s = trouble.until - anyio.current_time() if trouble else 0.0
        if trouble and wait_s > 0:
            raise ModelLoading(model.simple_name, trouble.reason, max(1, round(wait_s)))

    def forget(self) -> None:
        self._by_id.clear()
