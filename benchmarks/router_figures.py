"""llama.cpp's own router in front of its own server: what the same chats cost there, if a binary is given.

Its engine is another build than ours, so its router is compared with that engine alone; the ratios of both
gateways can then be set side by side.
"""

from __future__ import annotations

import functools
import http.client
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.engine_figures import (
    CLIENTS,
    FIRST_TOKEN_CLIENTS,
    Sides,
    compare_firsts,
    compare_rates,
    measure_firsts,
    measure_rates,
)
from benchmarks.processes import end, free_port
from benchmarks.quiet import gather
from benchmarks.report import Figure
from benchmarks.streams import Target, measure_clients
from foundrylocal.wire.load_options import EffectiveOptions

READY_TIMEOUT_S = 60.0
NAME = "bench"


def router_figures(folder: Path, model_file: Path, rounds: int, binary: Path) -> list[Figure]:
    """Tokens/s and time to first token through the router, against the same binary without it."""
    models = folder / "router-models"
    models.mkdir()
    (models / f"{NAME}.gguf").symlink_to(model_file)
    alone = ["--model", str(model_file), "--alias", NAME]
    with (
        _llama_server(folder / "alone.log", binary, alone) as direct,
        _llama_server(folder / "router.log", binary, ["--models-dir", str(models)]) as router,
    ):
        sides: Sides = {
            "bare": (Target("/v1/chat/completions", port=direct), NAME),
            "gateway": (Target("/v1/chat/completions", port=router), NAME),
        }
        figures: list[Figure] = []
        for clients in CLIENTS:
            for target, model in sides.values():
                measure_clients(target, model, 8, clients)
            rates = gather(rounds, functools.partial(measure_rates, sides, clients))
            figures.append(compare_rates(clients, None, rates, who="llama-server router: "))
            if clients in FIRST_TOKEN_CLIENTS:
                firsts = gather(rounds, functools.partial(measure_firsts, sides, clients))
                figures.append(compare_firsts(clients, None, firsts, who="llama-server router: "))
    return figures


@contextmanager
def _llama_server(log: Path, binary: Path, arguments: Sequence[str]) -> Iterator[int]:
    """Run it with our worker's context and slots; yield its port."""
    settings = EffectiveOptions()
    port = free_port()
    options = ["--ctx-size", str(settings.context_size), "--parallel", str(settings.parallel), "--kv-unified"]
    command = [str(binary), "--host", "127.0.0.1", "--port", str(port), *options, *arguments]
    libraries = os.pathsep.join([str(binary.parent), os.environ.get("LD_LIBRARY_PATH", "")])
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env=os.environ | {"LD_LIBRARY_PATH": libraries}
        )
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _is_ready(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{binary.name} is not ready: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield port
    finally:
        end(process)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
