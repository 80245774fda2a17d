"""The measured processes: services, bare engines and their model. Each is stopped through its own handle."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from foundrylocal.catalog.library import Library

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / ".test-models"
MODEL = "SmolLM2-135M-Instruct-Q4_1-GGUF"
SECOND_MODEL = "gemma-3-270m-Q4_K_M-GGUF"
BASE = "/iblink/v1/foundry-local"
READY_TIMEOUT_S = 30.0
END_TIMEOUT_S = 15.0
_READY = re.compile(rb"listening on http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Service:
    """A running service; `health_s` is the time from its start to its first answered health check."""

    process: psutil.Process
    port: int
    health_s: float

    def call(self, method: str, path: str, body: object = None, timeout_s: float = 600.0) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, BASE + path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            decoded = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {decoded}")
        return decoded

    def cpu_s(self) -> float:
        """CPU time of the service's own process so far; its workers are not in it."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def service(
    home: Path, settings: Mapping[str, str] | None = None, program: Sequence[str] = ("-m", "foundrylocal")
) -> Iterator[Service]:
    """Run `foundrylocal serve` on a free port with a home of its own and the cached models."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRYLOCAL_")}
    environment |= {"FOUNDRYLOCAL_HOME": str(home), "FOUNDRYLOCAL_CACHE_DIR": str(MODELS)}
    environment |= {"FOUNDRYLOCAL_PORT": "0", **(settings or {})}
    home.mkdir(parents=True, exist_ok=True)
    output = home / "output.log"
    with output.open("wb") as file:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *program, "serve", "--port", "0"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        port = _wait_port(process, output)
        ready = Service(psutil.Process(process.pid), port, 0.0)
        ready.call("GET", "/health")
        yield Service(ready.process, port, time.perf_counter() - began)
    finally:
        end(process)


def _wait_port(process: subprocess.Popen[bytes], output: Path) -> int:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not (found := _READY.search(output.read_bytes())):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"The service is not ready: {output.read_text(errors='replace')[-2000:]}")
        time.sleep(0.002)
    return int(found[1])


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, kill it if it does not exit, and reap it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class BareEngine:
    """A bare engine that serves on a port, as anybody would run it; `load_s` includes its import."""

    port: int
    key: str
    load_s: float


def free_port() -> int:
    """A port on loopback that is free at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def bare_engine(
    folder: Path, model_file: Path, options: Mapping[str, object] | None = None
) -> Iterator[BareEngine]:
    """Load the model in a process with the engine only; `options` replace what the order would say."""
    from foundrylocal.wire.load_options import EffectiveOptions

    folder.mkdir(parents=True, exist_ok=True)
    key = "bare-engine-of-the-benchmark"
    order: dict[str, object] = {"socket": None, "host": "127.0.0.1", "port": free_port(), "api_key": key}
    order["model_path"] = str(model_file)
    order |= {"projector_path": None, "alias": "bare", "is_embedding": False, "is_reranking": False}
    order |= EffectiveOptions().model_dump(mode="json")
    order |= options or {}
    with (folder / "bare.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare_engine"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"The bare engine ended: {(folder / 'bare.log').read_text()[-2000:]}")
        told = json.loads(line)
        yield BareEngine(int(told["address"].rpartition(":")[2]), key, float(told["load_s"]))
    finally:
        process.stdin.close()
        end(process)
        process.stdout.close()


def interpreter_start_s() -> float:
    """How long the interpreter itself takes to start and exit."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def fetch_model(home: Path, name: str = MODEL) -> Path:
    """The path of the model's file; it is downloaded through the product the first time."""
    with service(home) as running:
        running.call("POST", f"/models/{name}/download")
        entries = running.call("GET", "/models/downloaded")["models"]
    model_id = next(entry["model_id"] for entry in entries if entry["simple_name"] == name)
    stored = Library(MODELS).get(model_id)
    assert stored is not None
    return Path(stored.files[0].path_in(str(stored.folder)))
