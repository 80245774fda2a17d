"""The cluster and its load: 1,000 nodes of 32 slots, 100 models by Zipf's law, conversations of several turns."""

from __future__ import annotations

import math
from collections.abc import Sequence

NODES = 1000
SLOTS = 32
TOKENS_PER_SECOND = 40.0
TOKENS = 100
ANSWER_S = TOKENS / TOKENS_PER_SECOND
MODELS = 100
REQUESTS_PER_SECOND = 10_000.0
TURNS = 5
THINK_S = 10.0
# Prompts that a replica keeps beside its slots, in memory.
KEPT_PROMPTS = 256


def shares(models: int = MODELS) -> list[float]:
    """The part of all requests that goes to each model: Zipf's law with exponent 1."""
    weights = [1 / rank for rank in range(1, models + 1)]
    return [weight / sum(weights) for weight in weights]


def spread_nodes(nodes: int = NODES) -> list[int]:
    """How many nodes each model gets: by its load, at least one."""
    wanted = [share * nodes for share in shares()]
    given = [max(1, math.floor(one)) for one in wanted]
    by_rest = sorted(range(len(given)), key=lambda model: given[model] - wanted[model])
    for model in by_rest[: nodes - sum(given)]:
        given[model] += 1
    return given


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of all values does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0
