"""The service under many log readers, and while it hashes and lists: how long /health waits meanwhile."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.pauses import Pauses
from benchmarks.processes import ROOT, Service, service
from benchmarks.report import Figure, spread
from foundrylocal.catalog.library import Library, StagedFile
from foundrylocal.catalog.registry import Registry
from tests.fakes.gguf_corpus import write_gguf
from tests.running import CHAT_MODEL, FAKE_WORKER, store_tiny_model

READERS, STALLED = 200, 20
BURST = 10_000
STEADY_S = 10.0
P99_MS, WORST_MS, PAUSE_MS = 100.0, 500.0, 250.0
HASHED_BYTES = 2 * 1024**3
LISTS = 20


def reader_figures(folder: Path, rounds: int) -> list[Figure]:
    """200 readers of which 20 stall, 100 lines a second and a burst of 10,000 lines of the engine."""
    waits_ms: list[float] = []
    seen_ms: list[float] = []
    results = []
    for number in range(rounds):
        home = folder / f"readers-home-{number}"
        store_tiny_model(home, worker_flags=f"--log-lines {BURST}")
        settings = {
            "FOUNDRYLOCAL_CACHE_DIR": str(home / "cache"),
            "FOUNDRYLOCAL_WORKER_COMMAND": shlex.join(FAKE_WORKER),
            "FOUNDRYLOCAL_DEFAULT_LOG_LEVEL": "DEBUG",
        }
        with service(home, settings) as running, _readers(running) as finish:
            # At this level each probe of /health is a line: a hundred in a second.
            with Pauses(running) as pauses:
                time.sleep(STEADY_S / 2)
                running.call("POST", "/start", {"model_name": CHAT_MODEL})
                time.sleep(STEADY_S / 2)
            results.append(finish())
            waits_ms += [wait_s * 1000 for wait_s in pauses.own_waits_s]
            seen_ms.append(pauses.longest_s * 1000)
    p99 = quantiles(waits_ms, n=100)[-1]
    unannounced = sum(one["missed"] for one in results if not one["notices"])
    fewest = min(one["fewest_lines"] for one in results)
    return [
        Figure(
            f"/health p99 beside {READERS} log readers ms",
            f"{p99:.1f} (worst {max(waits_ms):.1f})",
            f"as seen from outside, worst {max(seen_ms):.1f}",
            target=f"p99 < {P99_MS:.0f}, worst < {WORST_MS:.0f} ms",
            is_ok=p99 < P99_MS and max(waits_ms) < WORST_MS,
        ),
        Figure(
            "log lines lost unannounced by fast readers",
            f"{unannounced}",
            f"each got at least {fewest}",
            target="0",
            is_ok=unannounced == 0 and fewest >= BURST,
        ),
    ]


def pause_figures(folder: Path, rounds: int) -> list[Figure]:
    """The longest pause of the event loop while 2 GB are hashed, and while models are listed."""
    home = folder / "verify-home"
    _store_large_model(home)
    with service(home, {"FOUNDRYLOCAL_CACHE_DIR": str(home / "cache")}) as running:

        def verify() -> None:
            running.call("POST", f"/models/{CHAT_MODEL}/verify")

        def list_often() -> None:
            for _ in range(LISTS):
                running.call("GET", "/models")

        figures = []
        for what, work in (
            (f"{HASHED_BYTES >> 30} GB are hashed", verify),
            ("models are listed", list_often),
        ):
            pauses_ms = []
            for _ in range(rounds):
                with Pauses(running) as pauses:
                    work()
                pauses_ms.append(pauses.own_s * 1000)
            figures.append(
                Figure(
                    f"longest pause of the event loop while {what} ms",
                    spread(pauses_ms, 1),
                    target=f"all < {PAUSE_MS:.0f} ms",
                    is_ok=max(pauses_ms) < PAUSE_MS,
                )
            )
    return figures


def _store_large_model(home: Path) -> None:
    """A model whose file has a hole of 2 GB behind its tensors: all of it is read and hashed."""
    model = Registry.load().find(CHAT_MODEL)
    library = Library(home / "cache")
    place = library.place(model.model_id)
    place.partial.mkdir(parents=True)
    file = write_gguf(place.partial / "big.gguf")
    with file.open("ab") as out:
        out.truncate(HASHED_BYTES)
    library.commit(model, place, [StagedFile(file, hashlib.sha256(b"another").hexdigest())])


@contextmanager
def _readers(running: Service) -> Iterator[Any]:
    """The readers' process; the value ends them and returns what they got."""
    arguments = [str(running.port), str(READERS - STALLED), str(STALLED)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.log_readers", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline().strip() == "ready"

        def finish() -> Any:
            process.stdin.close()  # type: ignore[union-attr]
            return json.loads(process.stdout.readline())  # type: ignore[union-attr]

        yield finish
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
