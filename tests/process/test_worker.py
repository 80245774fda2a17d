"""The built-in worker as a process: whose child it is, what it gets to see, and where its socket lies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.running import CHAT_MODEL, FAKE_WORKER, eventually, running, store_tiny_model

WORKER = [sys.executable, "-P", "-m", "foundrylocal.worker"]
ORDER = {
    "socket": None,
    "host": "127.0.0.1",
    "port": 0,
    "api_key": "x",
    "model_path": "/no/such/model.gguf",
    "projector_path": None,
    "alias": "model",
    "is_embedding": False,
    "is_reranking": False,
    "context_size": 256,
    "parallel": 1,
    "threads": 1,
    "gpu_layers": 0,
    "kv_cache_type": "f16",
    "speculative": "off",
    "engine": None,
    "batch_tokens": None,
    "lora": [],
}
# Process 1 of a container, as the service is: it starts a worker, gives it its order and prints what it reports.
PARENT = """
import json, os, subprocess, sys
assert os.getpid() == 1
order = json.loads(sys.argv[1])
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
child.stdin.write(json.dumps(order) + chr(10))
child.stdin.flush()
print(child.stdout.readline(), end="")
child.kill()
"""


def _as_process_1(service_pid: int) -> str:
    """What a worker reports whose parent is process 1 of a namespace of its own."""
    order = json.dumps(ORDER | {"service_pid": service_pid})
    done = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", PARENT, order, *WORKER],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"no process namespace can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_row_34_a_worker_of_process_1_works() -> None:
    report = json.loads(_as_process_1(service_pid=1))
    assert report["event"] == "failed", "it tried to load the model, which is not there"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_a_worker_whose_service_is_gone_and_that_process_1_adopted_ends() -> None:
    assert _as_process_1(service_pid=4242) == ""


def test_a_worker_sees_no_secret_of_the_services_environment(home: Path) -> None:
    store_tiny_model(home)
    secrets = {"HF_TOKEN": "canary-1", "PIP_INDEX_URL": "https://u:canary-2@x/", "MY_API_KEY": "canary-3"}
    with running(home, worker=FAKE_WORKER, OMP_NUM_THREADS="3", **secrets) as service:
        service.start()
        (worker,) = service.workers()
        environment = worker.environ()
        assert "canary" not in str(environment)
        assert environment["OMP_NUM_THREADS"] == "3"
        assert environment["PATH"] == os.environ["PATH"]


def test_row_34_starts_work_after_the_sockets_folder_was_removed(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER) as service:
        for _ in range(2):
            folder = service.run_folder()
            assert folder is not None
            shutil.rmtree(folder)
            service.start()
            assert service.run_folder() != folder
            service.post("/stop")


def test_row_34_a_server_whose_sockets_folder_is_removed_recovers(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        service.start(options={"health_check_interval_seconds": 1})
        (first,) = service.workers()
        folder = service.run_folder()
        assert folder is not None
        shutil.rmtree(folder)
        eventually("the worker that nobody reaches is ended", lambda: not _is_alive(first), 30)
        with service.gateway() as gateway:
            body = {"messages": [{"role": "user", "content": "Hi"}]}
            # The end of a worker is seen here a moment before the service knows of it.
            eventually(
                "it serves again",
                lambda: gateway.post("/v1/chat/completions", json=body).status_code == 200,
                30,
            )


def _is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
