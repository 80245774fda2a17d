"""Undisturbed rounds: the CPU time of everything else on the machine is measured during each.

Invariant: the least disturbed rounds are kept, chosen by that CPU time and never by their result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import psutil

T = TypeVar("T")

# Other work, in cores; a quiet machine has a few hundredths.
LIMIT = 0.10
# Time limit for repeating noisy rounds, for all rounds of a figure together.
BUDGET_S = 30.0

_seen: list[float] = []


def gather(rounds: int, measure: Callable[[int], T]) -> list[T]:
    """That many quiet rounds of `measure(number)`; when time runs out, the quietest of the noisy ones."""
    taken: list[tuple[float, int, T]] = []
    started = time.monotonic()
    while len(taken) < rounds or time.monotonic() - started < BUDGET_S:
        number = len(taken)
        before_s, began = _others_cpu_s(), time.monotonic()
        result = measure(number)
        others = (_others_cpu_s() - before_s) / (time.monotonic() - began)
        taken.append((max(others, 0.0), number, result))
        if sum(noise <= LIMIT for noise, _, _ in taken) >= rounds:
            break
    kept = sorted(taken, key=lambda one: (one[0] > LIMIT, one[0] if one[0] > LIMIT else 0.0, one[1]))[:rounds]
    _seen.extend(noise for noise, _, _ in kept)
    return [result for _, _, result in kept]


def summary() -> str:
    """How quiet the rounds behind the figures were."""
    noisy = sum(noise > LIMIT for noise in _seen)
    if not noisy:
        return "No round was disturbed by other work on the machine."
    return (
        f"{noisy} of {len(_seen)} rounds were disturbed by other work on the machine, "
        f"of up to {max(_seen):.1f} cores: the figures by the clock are worse for it."
    )


def _others_cpu_s() -> float:
    """CPU time used by others, including time stolen by the host."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux already counts guest time as user time.
    busy = sum(times) - idle - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    own = 0.0
    root = psutil.Process()
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):
            # Processes that ended and were reaped count with their parent.
            own += sum(process.cpu_times()[:4])
    return float(busy) - own
