"""Nodes that failed a moment ago: nothing new goes there.

The cluster lists a lost node as alive until it is sure, which takes it some seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

LOST_S = 15.0
# What a node lacks (disk space, the right version) is not there a moment later.
UNUSABLE_S = 60.0


class Suspects:
    """The owner of the list; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def add(self, node: str, seconds: float = LOST_S) -> None:
        self._until[node] = max(self._until.get(node, 0.0), self._clock() + seconds)

    def __contains__(self, node: str) -> bool:
        until = self._until.get(node)
        if until is not None and self._clock() >= until:
            del self._until[node]
            return False
        return until is not None
