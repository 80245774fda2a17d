"""One gateway's core as a queue: when do chunks begin to wait?

Every request costs the core once, and every chunk of its answer again. Chunks of an answer arrive at the pace of its
slot; the core takes them in the order of arrival.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from benchmarks.simulation.shape import TOKENS, TOKENS_PER_SECOND, percentile

REQUEST_S = 0.001
RUN_S = 20.0
WARM_UP_S = 5.0
# Below that nobody sees a difference.
MAX_WAIT_S = 0.05


@dataclass(frozen=True)
class Load:
    """What a rate of requests does to the core: its share of busy time, and what chunks wait."""

    requests_per_second: float
    busy: float
    wait_p99_s: float


def load(requests_per_second: float, chunk_s: float, seed: int = 1) -> Load:
    """The core at a rate, when a chunk costs `chunk_s`."""
    chance = random.Random(seed)
    work: list[tuple[float, float]] = []
    at = 0.0
    while at < RUN_S:
        at += chance.expovariate(requests_per_second)
        work.append((at, REQUEST_S))
        work += [(at + number / TOKENS_PER_SECOND, chunk_s) for number in range(1, TOKENS + 1)]
    work.sort()
    free_at = busy_s = 0.0
    waits: list[float] = []
    for at, cost_s in work:
        if at > RUN_S:
            break
        begin = max(at, free_at)
        free_at = begin + cost_s
        busy_s += cost_s
        if at > WARM_UP_S:
            waits.append(begin - at)
    return Load(requests_per_second, busy_s / RUN_S, percentile(waits, 0.99))


def knee(chunk_s: float, step: int = 10) -> Load:
    """The highest rate, in steps, at which chunks still do not wait for long."""
    found = load(step, chunk_s)
    while (further := load(found.requests_per_second + step, chunk_s)).wait_p99_s <= MAX_WAIT_S:
        found = further
    return found
