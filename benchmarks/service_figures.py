"""What the service itself costs: time to the first answer, and memory while idle."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from benchmarks.processes import service
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread

FIRST_HEALTH_S = 1.5
IDLE_MB = 110.0
SETTLE_S = 2.0


def idle_figures(folder: Path, rounds: int) -> list[Figure]:
    """From `serve` to the first answered health check, and the memory of an idle service."""

    def measure(number: int) -> tuple[float, float, float]:
        with service(folder / f"idle-home-{number}") as running:
            running.call("GET", "/status")
            running.call("GET", "/models")
            time.sleep(SETTLE_S)
            memory = running.process.memory_full_info()
            return running.health_s, memory.rss / 1024**2, memory.uss / 1024**2

    measure(-1)
    healths, resident, unique = (list(values) for values in zip(*gather(rounds, measure), strict=True))
    return [
        Figure(
            "serve to first /health s",
            spread(healths, 2),
            target=f"<= {FIRST_HEALTH_S} s",
            is_ok=median(healths) <= FIRST_HEALTH_S,
        ),
        Figure(
            "idle memory MB",
            spread(resident, 1),
            f"private {median(unique):.1f}",
            target=f"<= {IDLE_MB:.0f} MB",
            is_ok=median(resident) <= IDLE_MB,
        ),
    ]
