"""The servers that are compared, each started with the same two models and the same context.

llama.cpp's router and llama-cpp-python keep one model at a time here, and a request that names the other one
switches; FoundryLocal switches by its own call. Each listens on loopback and ends with its block.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.chat import ask
from benchmarks.processes import MODEL, SECOND_MODEL, end, free_port, service

CONTEXT_TOKENS = 8192
SLOTS = 4
READY_TIMEOUT_S = 120.0
FIRST, SECOND = "first", "second"


@dataclass(frozen=True)
class Peer:
    """A running server. `names` are its names for the two models; None leaves a request to the current model.

    `relay_pid` is a process that only passes bytes on, where there is one.
    """

    name: str
    port: int
    key: str | None
    names: dict[str, str | None]
    full_names: dict[str, str]
    switch: Callable[[str], None]
    relay_pid: int | None = None


@contextmanager
def foundrylocal(folder: Path) -> Iterator[Peer]:
    """The service, with the gateway on a free port."""
    settings = {"FOUNDRYLOCAL_CONTEXT_SIZE": str(CONTEXT_TOKENS), "FOUNDRYLOCAL_PARALLEL": str(SLOTS)}
    models = {FIRST: MODEL, SECOND: SECOND_MODEL}
    with service(folder / "foundrylocal", settings) as running:
        for model in models.values():
            running.call("POST", f"/models/{model}/download")
        answer = running.call("POST", "/start", {"model_name": MODEL, "port": 0})

        def switch(to: str) -> None:
            running.call("POST", "/switch-model", {"model_name": models[to]})

        names: dict[str, str | None] = {FIRST: None, SECOND: None}
        yield Peer(
            "FoundryLocal", answer["port"], answer["api_key"], names, models, switch, running.process.pid
        )


@contextmanager
def llama_router(folder: Path, binary: Path, files: dict[str, Path]) -> Iterator[Peer]:
    """llama.cpp's own router, which starts a server for each model and keeps one."""
    models = folder / "router-models"
    models.mkdir()
    for name, file in files.items():
        (models / f"{name}.gguf").symlink_to(file)
    options = ["--models-dir", str(models), "--models-max", "1", "--ctx-size", str(CONTEXT_TOKENS)]
    options += ["--parallel", str(SLOTS), "--kv-unified", "--host", "127.0.0.1"]
    libraries = os.pathsep.join([str(binary.parent), os.environ.get("LD_LIBRARY_PATH", "")])
    port = free_port()
    command = [str(binary), *options, "--port", str(port)]
    with _started(folder / "router.log", command, port, {"LD_LIBRARY_PATH": libraries}) as pid:
        yield _by_name("llama-server router", port, pid)


@contextmanager
def llama_cpp_python(folder: Path, python: Path, files: dict[str, Path]) -> Iterator[Peer]:
    """llama-cpp-python's server, which keeps one model in its own process."""
    port = free_port()
    models = [
        {"model": str(file), "model_alias": name, "n_ctx": CONTEXT_TOKENS} for name, file in files.items()
    ]
    config = folder / "llama-cpp-python.json"
    config.write_text(json.dumps({"host": "127.0.0.1", "port": port, "models": models}))
    command = [str(python), "-m", "llama_cpp.server", "--config_file", str(config)]
    with _started(folder / "llama-cpp-python.log", command, port, {}):
        yield _by_name("llama-cpp-python", port, None)


def _by_name(name: str, port: int, relay_pid: int | None) -> Peer:
    """A server whose requests name the model; naming the other one switches."""
    names: dict[str, str | None] = {FIRST: FIRST, SECOND: SECOND}

    def switch(to: str) -> None:
        ask(port, None, to, "Hello", 1)

    return Peer(name, port, None, names, {FIRST: FIRST, SECOND: SECOND}, switch, relay_pid)


@contextmanager
def _started(log: Path, command: Sequence[str], port: int, environment: dict[str, str]) -> Iterator[int]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | environment)
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _is_listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} is not ready: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        end(process)


def _is_listening(port: int) -> bool:
    import socket

    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
