"""One chat while another program computes: the service beside a bare engine with its own defaults, quiet and not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.processes import MODEL, bare_engine, service
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread
from benchmarks.streams import Target, measure_clients

TOKENS = 96
# A bare engine may make one token a second beside a busy program.
TOKENS_BESIDE = 16
# The service notices within two seconds of computing that the machine has changed.
NOTICE_S = 3.0
MIN_QUIET_RATIO = 0.97
MIN_BESIDE_RATIO = 1.5
NEIGHBOURS = (0, 1, 2)

Sides = dict[str, Target]


def neighbour_figures(folder: Path, model_file: Path, rounds: int) -> list[Figure]:
    """Tokens/s of one chat with no, one and two programs that keep a core each."""
    with (
        service(folder / "neighbour-home") as running,
        bare_engine(folder / "bare-beside", model_file) as bare,
    ):
        answer = running.call("POST", "/start", {"model_name": MODEL, "port": 0})
        path = "/v1/chat/completions"
        sides = {
            "bare": Target(path, port=bare.port, key=bare.key),
            "service": Target(path, port=answer["port"], key=answer["api_key"]),
        }
        return [_figure(count, gather(rounds, partial(_measure, sides, count))) for count in NEIGHBOURS]


def _measure(sides: Sides, neighbours: int, number: int) -> dict[str, float]:
    """Tokens/s of one round, both sides in turn."""
    rates: dict[str, float] = {}
    tokens = TOKENS_BESIDE if neighbours else TOKENS
    with _busy(neighbours):
        for name in sorted(sides, reverse=bool(number % 2)):
            if name == "service":
                began = time.monotonic()
                while time.monotonic() - began < NOTICE_S:
                    measure_clients(sides[name], None, tokens, 1)
            (one,) = measure_clients(sides[name], None, tokens, 1)
            rates[name] = one.tokens / one.total_s
    return rates


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Programs that compute without a pause, in sessions of their own as other applications are."""
    command = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def _figure(neighbours: int, rounds: list[dict[str, float]]) -> Figure:
    ratio = median(one["service"] / one["bare"] for one in rounds)
    bound = {0: MIN_QUIET_RATIO, 1: MIN_BESIDE_RATIO}.get(neighbours)
    return Figure(
        f"tokens/s beside {neighbours or 'no'} busy program{'' if neighbours == 1 else 's'}",
        spread([one["service"] for one in rounds], 1),
        f"the engine's default {spread([one['bare'] for one in rounds], 1)}",
        f"{ratio:.2f}",
        "" if bound is None else f">= {bound}",
        None if bound is None else ratio >= bound,
    )
