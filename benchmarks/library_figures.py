"""Downloads compared with the hub's own command from the same local hub, and listing a large registry."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.pauses import Pauses
from benchmarks.processes import ROOT, Service, service
from benchmarks.quiet import gather
from benchmarks.report import Figure, spread
from foundrylocal.catalog.library import Library, StagedFile
from foundrylocal.catalog.registry import HubSource, Model, Registry, SourceFile, render_model
from tests.fakes.gguf_corpus import write_gguf

REPO, FILE = "bench/big-GGUF", "big-F32.gguf"
FILE_FLOATS = (1 << 30) // 4
RATIO = 1.15
PAUSE_MS = 100.0
KNOWN, STORED = 10_000, 1_000
LIST_MS = 50.0


@contextmanager
def _hub(file: Path) -> Iterator[str]:
    """Run a hub on loopback that serves the file; yield its address."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "fakes" / "hub.py"), REPO, FILE, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    try:
        yield process.stdout.readline().strip().removeprefix("HF_ENDPOINT=")
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _big_file(folder: Path) -> Path:
    path = write_gguf(folder / FILE, tensors={"token_embd.weight": ((64, FILE_FLOATS // 64), 0)})
    with path.open("r+b") as file:  # not zeros, which could be stored sparsely or compressed
        size = path.stat().st_size
        file.seek(size - (1 << 30))
        for _ in range(1 << 8):
            file.write(os.urandom(1 << 22))
    return path


def download_figures(folder: Path, rounds: int) -> list[Figure]:
    """The same gigabyte through the API (verified and listed) and by the hub's own command."""
    file = _big_file(folder)
    with _hub(file) as endpoint:
        settings = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"}
        settings["FOUNDRYLOCAL_CACHE_DIR"] = str(folder / "big-cache")
        settings["FOUNDRYLOCAL_HUB_ALLOWED_HOSTS"] = "localhost"
        with service(folder / "big-home", settings) as running:

            def measure(number: int) -> tuple[float, float, float, float]:
                _settle_disk()
                with Pauses(running) as pauses:
                    began = time.perf_counter()
                    body = {"repo": REPO, "file": FILE, "name": "big"}
                    done = running.call("POST", "/models/import", body)
                    ours = time.perf_counter() - began
                running.call("DELETE", f"/models/{done['model_name']}")
                _settle_disk()
                own_ms, longest_ms = pauses.own_s * 1000, pauses.longest_s * 1000
                return ours, _hubs_own(folder / "own", endpoint), own_ms, longest_ms

            measure(-1)
            ours, own, pauses, waits = (list(values) for values in zip(*gather(rounds, measure), strict=True))
    file.unlink()
    ratio = median(one / other for one, other in zip(ours, own, strict=True))
    return [
        Figure(
            "1 GB from a local hub s",
            spread(ours, 2),
            f"hf download {spread(own, 2)}",
            f"{ratio:.3f}",
            f"<= {RATIO}",
            ratio <= RATIO,
        ),
        Figure(
            "longest pause of the event loop meanwhile ms",
            spread(pauses, 1),
            f"as seen from outside {spread(waits, 1)}",
            target=f"all < {PAUSE_MS:.0f} ms",
            is_ok=max(pauses) < PAUSE_MS,
        ),
    ]


def _settle_disk() -> None:
    """Flush what the previous round left to be written; otherwise our own sync would write it too."""
    if hasattr(os, "sync"):
        os.sync()


def _hubs_own(folder: Path, endpoint: str) -> float:
    command = [str(Path(sys.executable).with_name("hf")), "download", REPO, FILE, "--local-dir", str(folder)]
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf-home")}
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    took = time.perf_counter() - began
    shutil.rmtree(folder)
    return took


def list_figures(folder: Path, rounds: int) -> list[Figure]:
    """GET /models/downloaded and GET /models with 1,000 models on disk of 10,000 known."""
    home, cache = folder / "list-home", folder / "list-cache"
    _fill(home, cache)
    with service(home, {"FOUNDRYLOCAL_CACHE_DIR": str(cache)}) as running:

        def measure(number: int) -> tuple[float, float]:
            return _time_ms(running, "/models/downloaded"), _time_ms(running, "/models")

        measure(-1)
        downloaded, every = (list(values) for values in zip(*gather(rounds, measure), strict=True))
    return [
        Figure(
            f"list {count} models of {KNOWN} ms",
            spread(values, 1),
            target=f"< {LIST_MS:.0f} ms",
            is_ok=median(values) < LIST_MS,
        )
        for count, values in ((STORED, downloaded), (KNOWN, every))
    ]


def _time_ms(running: Service, path: str) -> float:
    began = time.perf_counter()
    running.call("GET", path)
    return (time.perf_counter() - began) * 1000


def _fill(home: Path, cache: Path) -> None:
    """Write user models to the registry file, and store the first of them on disk."""
    count = KNOWN - len(Registry.load().all())
    source = HubSource(REPO, "0" * 40, (SourceFile(FILE, 9920, "0" * 64),))
    models = [
        Model(
            model_id=f"bench/model-{number}-Q8_0-GGUF",
            simple_name=f"model-{number}-Q8_0-GGUF",
            size="1B",
            quantization="Q8_0",
            family="bench",
            license=None,
            context_length=2048,
            capabilities=("chat",),
            sources=(source,),
        )
        for number in range(count)
    ]
    state = home / "state"
    state.mkdir(parents=True)
    (state / "imported.json").write_text(json.dumps({"models": [render_model(model) for model in models]}))
    library = Library(cache)
    for model in models[:STORED]:
        place = library.place(model.model_id)
        place.partial.mkdir(parents=True)
        file = write_gguf(place.partial / "tiny.gguf")
        library.commit(model, place, [StagedFile(file, hashlib.sha256(file.read_bytes()).hexdigest())])
