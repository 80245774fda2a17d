"""Exponential backoff with jitter: how long to wait before the next attempt."""

from __future__ import annotations

import random


def delay_s(attempt: int, *, first_s: float = 0.5, max_s: float = 30.0) -> float:
    """Seconds before retry number `attempt` (1 is the first), between half the step and the whole step."""
    step = min(max_s, first_s * 2.0 ** min(attempt - 1, 32))
    return step * random.uniform(0.5, 1.0)  # noqa: S311 - spread, not secrecy
