"""`python -m benchmarks`: measure the program in one run and print a table with targets."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    cluster_figures,
    dashboard_figures,
    engine_figures,
    hostile_figures,
    library_figures,
    load_figures,
    log_figures,
    neighbour_figures,
    plan_figures,
    prefill_figures,
    processes,
    prompt_figures,
    quiet,
    replica_figures,
    router_figures,
    service_figures,
    speculative_figures,
    stream_figures,
)
from benchmarks.report import Figure, show

ROUNDS = 5
GROUPS = (
    "chat",
    "router",
    "relay",
    "slow",
    "start",
    "change",
    "idle",
    "download",
    "list",
    "readers",
    "pauses",
    "connections",
    "cycles",
    "prefill",
    "neighbours",
    "plan",
    "prompts",
    "hostile",
    "speculative",
    "dashboard",
    "cluster",
    "replicas",
)


def main() -> int:
    """Measure everything. The exit code is 0 if it could be measured, whatever the results, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each figure (5)")
    parser.add_argument(
        "--only",
        choices=GROUPS,
        help="one group of figures",
    )
    parser.add_argument(
        "--llama-server",
        type=Path,
        help="a llama-server binary, whose router is measured in the same way",
    )
    given = parser.parse_args()
    # Raise an exception, so that every process is stopped on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed service has its byte code
    folder = Path(tempfile.mkdtemp(prefix="fl-bench-"))
    try:
        return _measure(folder, given.rounds, given.only, given.llama_server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(folder: Path, rounds: int, only: str | None, llama_server: Path | None) -> int:
    began = time.monotonic()
    _say(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load {_load()}")
    if rounds < 5:
        _say("With fewer than five rounds the medians are not reliable.")
    model_file = processes.fetch_model(folder / "fetch-home")
    groups: dict[str, Callable[[], list[Figure]]] = {
        "chat": lambda: engine_figures.chat_figures(folder, model_file, rounds),
        "router": lambda: (
            router_figures.router_figures(folder, model_file, rounds, llama_server) if llama_server else []
        ),
        "relay": lambda: stream_figures.relay_figures(folder, rounds),
        "slow": lambda: stream_figures.slow_figures(folder, rounds),
        "start": lambda: engine_figures.start_figures(folder, model_file, rounds),
        "change": lambda: engine_figures.change_figures(folder, model_file, rounds),
        "idle": lambda: service_figures.idle_figures(folder, rounds),
        "download": lambda: library_figures.download_figures(folder, rounds),
        "list": lambda: library_figures.list_figures(folder, rounds),
        "readers": lambda: log_figures.reader_figures(folder, rounds),
        "pauses": lambda: log_figures.pause_figures(folder, rounds),
        "connections": lambda: load_figures.connection_figures(folder),
        "cycles": lambda: load_figures.cycle_figures(folder),
        "plan": lambda: plan_figures.plan_figures(folder, rounds),
        "prefill": lambda: prefill_figures.prefill_figures(folder, model_file, rounds),
        "neighbours": lambda: neighbour_figures.neighbour_figures(folder, model_file, rounds),
        "prompts": lambda: prompt_figures.prompt_figures(folder, rounds),
        "speculative": lambda: speculative_figures.speculative_figures(folder, model_file, rounds),
        "hostile": lambda: hostile_figures.hostile_figures(folder),
        "replicas": lambda: replica_figures.replica_figures(folder, rounds),
        "dashboard": lambda: dashboard_figures.dashboard_figures(folder, rounds),
        "cluster": lambda: cluster_figures.cluster_figures(folder, rounds),
    }
    figures: list[Figure] = []
    for name, measure in groups.items():
        if only in (None, name):
            _say(f"{name}...")
            figures += measure()
    print(
        f"\nMedians of {rounds} interleaved rounds (least-greatest); ratios are medians of the rounds' own.\n"
    )
    show(figures)
    _say(quiet.summary())
    _say(f"It took {time.monotonic() - began:.0f} s; load {_load()} at the end.")
    return 0


def _load() -> str:
    """The load average; one well above the benchmark's own load means that other work disturbed the results."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
