"""The program as a test runs it: a real `foundrylocal serve` in a home of its own, on free ports.

Not a fake: the only thing that may be one is the worker, at the program's edge.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from foundrylocal.catalog.library import Library, StagedFile
from foundrylocal.catalog.registry import Registry
from tests.fakes.gguf_corpus import tiny_keys, write_gguf

REPOSITORY = Path(__file__).resolve().parent.parent
FAKE_WORKER = [sys.executable, str(REPOSITORY / "tests" / "fakes" / "worker.py")]
TEST_MODELS = REPOSITORY / ".test-models"
BASE_PATH = "/iblink/v1/foundry-local"
CHAT_MODEL = "SmolLM2-135M-Instruct-Q4_1-GGUF"
CHAT_MODEL_ID = f"HuggingFaceTB/{CHAT_MODEL}"
BASE_MODEL = "gemma-3-270m-Q4_K_M-GGUF"
BASE_MODEL_ID = f"google/{BASE_MODEL}"
READY = "FoundryLocal API listening on http://127.0.0.1:"
# Set by tests/cluster_slow: every service runs its models on that Ray cluster, whose one node is this machine.
CLUSTER_VARIABLE = "TESTS_ON_CLUSTER"
CLUSTER_LOGS_VARIABLE = "TESTS_CLUSTER_LOGS"
READY_TIMEOUT_S = 30.0
END_TIMEOUT_S = 20.0


def eventually(what: str, check: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """The first true answer of `check`, asked again and again until `timeout_s`; the bound is the test's."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        pause.wait(0.02)
    return answer


def store_tiny_model(
    home: Path,
    name: str = CHAT_MODEL,
    *,
    context_length: int = 2048,
    worker_flags: str | None = None,
    keys: Mapping[str, Any] | None = None,
) -> Path:
    """Put a small valid GGUF on disk as that model of the catalog, `keys` added; returns the model's file."""
    model = Registry.load().find(name)
    library = Library(home / "cache")
    place = library.place(model.model_id)
    place.partial.mkdir(parents=True, exist_ok=True)
    file = place.partial / "tiny.gguf"
    write_gguf(file, tiny_keys(llama__context_length=context_length) | dict(keys or {}))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    path = library.commit(model, place, [StagedFile(file, digest)]).model_path
    if worker_flags is not None:
        path.with_name(path.name + ".flags").write_text(worker_flags)
    return path


def left_of(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run after `timeout_s`; a dead one that its new parent has not reaped yet is none."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while left := [process for process in processes if _is_alive(process)]:
        if time.monotonic() > deadline:
            return left
        pause.wait(0.02)
    return []


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def workers_of(owner: str) -> list[psutil.Process]:
    """The fake workers on this machine that carry this owner in their arguments, whoever is their parent."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-2:] == ["--owner", owner] and _is_alive(process):
                found.append(process)
    return found


class Service:
    """A running service: `call` speaks to the management API, `chat` to the gateway."""

    def __init__(
        self,
        home: Path,
        *,
        worker: list[str] | None = None,
        port: int = 0,
        prefix: Sequence[str] = (),
        **environment: str,
    ) -> None:
        self.home = home
        cluster = os.environ.get(CLUSTER_VARIABLE)
        if cluster and worker is not None:
            worker = [*worker, "--owner", str(home)]
        settings = {"FOUNDRYLOCAL_HOME": str(home), "FOUNDRYLOCAL_PORT": "0", **environment}
        if worker is not None:
            settings["FOUNDRYLOCAL_WORKER_COMMAND"] = shlex.join(worker)
        if cluster:
            settings = {"FOUNDRYLOCAL_CLUSTER_ADDRESS": cluster, **settings}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRYLOCAL_")}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "foundrylocal", "serve", "--port", str(port)],
            env=kept | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = self._wait_ready()
        self.root = f"http://127.0.0.1:{self.port}"
        self.base = self.root + BASE_PATH
        self.http = httpx.Client(base_url=self.base, timeout=60)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip())
        self.lines.put(None)

    def _wait_ready(self) -> int:
        seen = []
        deadline = time.monotonic() + READY_TIMEOUT_S
        while True:
            line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if line is None:
                raise AssertionError(f"the service ended: exit {self.process.wait()}: {seen}")
            if line.startswith(READY):
                return int(line.removeprefix(READY))
            seen.append(line)

    # --- calls ------------------------------------------------------------------------------------------

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return (
            self.http.post(path, json=body, **options)
            if body is not None
            else self.http.post(path, **options)
        )

    def start(self, model: str = CHAT_MODEL, **body: Any) -> dict[str, Any]:
        answer = self.post("/start", {"model_name": model, **body})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def status(self) -> dict[str, Any]:
        return dict(self.get("/status").json())

    def events(self, path: str, body: Any = None) -> list[dict[str, Any]]:
        """All events of a stream until it ends."""
        with self.http.stream("POST", path, json=body) as answer:
            assert answer.status_code == 200, answer.read()
            return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]

    def gateway(self) -> httpx.Client:
        """A client of the gateway, with the key; the server must run."""
        health = self.status()["health"]
        return httpx.Client(
            base_url=health["endpoint"].removesuffix("/v1"),
            headers={"Authorization": f"Bearer {health['api_key']}"},
            timeout=60,
        )

    # --- processes --------------------------------------------------------------------------------------

    def workers(self) -> list[psutil.Process]:
        """The worker processes of this service now, zombies included; on a cluster only fake workers."""
        if self.is_on_cluster:
            return workers_of(str(self.home))
        return self.children()

    def children(self) -> list[psutil.Process]:
        """All processes below the service now, zombies included."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    @property
    def is_on_cluster(self) -> bool:
        return CLUSTER_VARIABLE in os.environ

    def worker_log(self) -> str:
        """What its workers logged: in the service's log, or on a cluster in those of all replicas on this machine."""
        if self.is_on_cluster:
            logs = Path(os.environ[CLUSTER_LOGS_VARIABLE]).glob("worker-*")
            return "\n".join(file.read_text("utf-8", "replace") for file in logs)
        return "\n".join(line["message"] for line in self.get("/logs?count=10000").json())

    def node_name(self) -> str:
        """How the API names the machine that the service runs on."""
        return "" if not (address := os.environ.get(CLUSTER_VARIABLE)) else address.rpartition(":")[0]

    def run_folder(self) -> Path | None:
        record = self.home / "state" / "run-folder"
        return Path(record.read_text()) if record.exists() else None

    def stop(self) -> int:
        """End the service as a user would; its exit code."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(END_TIMEOUT_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it with -9, and wait for that."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(END_TIMEOUT_S)


@contextlib.contextmanager
def running(
    home: Path, *, worker: list[str] | None = None, prefix: Sequence[str] = (), **environment: str
) -> Iterator[Service]:
    """A service for the time of the block; nothing of it is left after."""
    service = Service(home, worker=worker, prefix=prefix, **environment)
    try:
        yield service
    finally:
        family = {*service.children(), *service.workers()}
        service.stop()
        left = left_of(list(family), 5)
        for child in left:
            child.kill()
        assert not left, f"left behind: {left}"
