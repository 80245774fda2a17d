"""Constraints with which the engine made no progress a while ago: they are refused until that time is over.

Invariant: only hashes are held, a bounded number of them, the oldest leaving first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

REFUSED_FOR_S = 600.0
MAX_REFUSED = 256


class RefusedConstraints:
    """The digests that are refused, by model."""

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._until_s: OrderedDict[tuple[str, str], float] = OrderedDict()

    def add(self, model_id: str, digest: str) -> None:
        """Refuse the constraint for REFUSED_FOR_S from now on."""
        self._until_s.pop((model_id, digest), None)
        self._until_s[model_id, digest] = self._now_s() + REFUSED_FOR_S
        while len(self._until_s) > MAX_REFUSED:
            self._until_s.popitem(last=False)

    def wait_s(self, model_id: str, digest: str) -> float:
        """How many seconds it will still be refused, 0 if it is not."""
        until_s = self._until_s.get((model_id, digest), 0.0)
        return max(0.0, until_s - self._now_s())
