"""What the service itself costs: CPU for each relayed chunk, time to the first answer, idle memory."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.processes import MODEL, ROOT, service
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread
from benchmarks.streams import Target, measure_clients

STREAMS = 8
CHUNK_US = 90.0
FIRST_HEALTH_S = 1.5
IDLE_MB = 110.0
SETTLE_S = 2.0
# Fast, and yet each chunk comes by itself: chunks that arrive together would be relayed together, for less.
CHUNKS_PER_S = 200
CHUNKS = 600


def relay_figures(folder: Path, rounds: int) -> list[Figure]:
    """CPU time of the service's process over the chunks that it relayed, of 8 fast fake streams."""
    fake = [sys.executable, str(ROOT / "tests" / "fakes" / "worker.py")]
    fake += ["--rate", str(CHUNKS_PER_S), "--tokens", str(CHUNKS), "--slots", str(STREAMS)]
    settings = {"FOUNDRYLOCAL_WORKER_COMMAND": shlex.join(fake), "FOUNDRYLOCAL_PARALLEL": str(STREAMS)}
    with service(folder / "relay-home", settings) as running:
        answer = running.call("POST", "/start", {"model_name": MODEL, "port": 0})
        target = Target("/v1/chat/completions", port=answer["port"], key=answer["api_key"])

        def measure(number: int) -> float:
            before = running.cpu_s()
            events = sum(one.events for one in measure_clients(target, None, CHUNKS, STREAMS))
            return (running.cpu_s() - before) / events * 1e6

        measure(-1)
        costs = gather(rounds, measure)
    return [
        Figure(
            f"CPU us a relayed chunk, {STREAMS} streams of {CHUNKS_PER_S}/s",
            spread(costs, 1),
            target=f"<= {CHUNK_US:.0f} us",
            is_ok=median(costs) <= CHUNK_US,
        )
    ]


def idle_figures(folder: Path, rounds: int) -> list[Figure]:
    """From `serve` to the first answered health check, and the memory of a service that does nothing."""

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
            f"its own alone {median(unique):.1f}",
            target=f"<= {IDLE_MB:.0f} MB",
            is_ok=median(resident) <= IDLE_MB,
        ),
    ]
