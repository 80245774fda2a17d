"""How long to wait before the next try: doubling, bounded, with jitter so that many do not try at once."""

from __future__ import annotations

import random


def delay_s(attempt: int, *, first_s: float = 0.5, most_s: float = 30.0) -> float:
    """Seconds before try number `attempt` (1 is the first repeat), between half and the whole step."""
    step = min(most_s, first_s * 2.0 ** min(attempt - 1, 32))
    return step * random.uniform(0.5, 1.0)  # noqa: S311 - spread, not secrecy
