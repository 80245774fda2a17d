"""The whole program with the real engine and the starter model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.running import CHAT_MODEL, CHAT_MODEL_ID, Service, eventually, left_of

pytestmark = pytest.mark.model
LONG = {
    "messages": [{"role": "user", "content": "Count from one to one thousand, in words."}],
    "max_tokens": 4000,
    "ignore_eos": True,
    "stream": True,
}


def _busy_slots(service: Service) -> int:
    """How many requests the worker itself is working on, asked at its own socket."""
    folder = service.run_folder()
    assert folder is not None
    (socket,) = folder.glob("*.sock")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://worker") as client:
        return sum(slot["is_processing"] for slot in client.get("/slots").json())


def test_start_chat_stream_stop(real_service: Service) -> None:
    started = real_service.start()
    assert started["loaded_model_id"] == CHAT_MODEL_ID
    question = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0}
    with real_service.gateway() as gateway:
        whole = gateway.post("/v1/chat/completions", json={**question, "max_tokens": 24}).json()
        assert whole["choices"][0]["message"]["content"].strip()
        assert whole["model"] == CHAT_MODEL_ID
        assert whole["usage"]["completion_tokens"] > 0
        with gateway.stream(
            "POST", "/v1/chat/completions", json={**question, "max_tokens": 24, "stream": True}
        ) as answer:
            lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    pieces = [json.loads(line[6:])["choices"][0]["delta"].get("content") or "" for line in lines[:-1]]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert real_service.post("/stop").json()["success"] is True
    assert not real_service.workers()


def test_a_client_that_is_killed_in_mid_stream_frees_its_slot(real_service: Service) -> None:
    real_service.start()
    health = real_service.status()["health"]
    program = (
        "import json, sys, urllib.request as u\n"
        "r = u.Request(sys.argv[1] + '/chat/completions', sys.argv[3].encode(),"
        " {'Authorization': 'Bearer ' + sys.argv[2], 'Content-Type': 'application/json'})\n"
        "a = u.urlopen(r)\n"
        "print(a.readline().decode(), flush=True)\n"
        "a.read()\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", program, health["endpoint"], health["api_key"], json.dumps(LONG)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    assert client.stdout.readline().startswith("data: ")
    assert _busy_slots(real_service) == 1
    client.kill()
    client.wait()
    # Alone on the machine it is a second at most; beside other tests a token may take that long. The whole
    # answer would take far longer.
    eventually("the slot is free", lambda: _busy_slots(real_service) == 0, 10.0)


@pytest.mark.parametrize("phase", ["loading", "ready"])
def test_row_05_the_real_worker_dies_with_the_service(home: Path, model_cache: Path, phase: str) -> None:
    service = Service(home, FOUNDRYLOCAL_CACHE_DIR=str(model_cache))
    try:
        if phase == "ready":
            service.start()
        else:
            with service.http.stream("POST", "/start-stream", json={"model_name": CHAT_MODEL}) as answer:
                for line in answer.iter_lines():
                    if "Waiting for server" in line:
                        break
        workers = service.workers()
        assert workers
    finally:
        service.kill()
    assert not left_of(workers, 2)


def test_row_01_a_killed_real_worker_leaves_the_api_alive(real_service: Service) -> None:
    real_service.start()
    (worker,) = real_service.workers()
    os.kill(worker.pid, signal.SIGKILL)
    eventually("the loss is seen", lambda: real_service.status()["loaded_model_id"] is None)
    assert real_service.get("/health").status_code == 200
    eventually("it is back", lambda: real_service.status()["health"]["is_healthy"], 20)


@pytest.mark.timeout(300)
def test_twenty_real_starts_and_stops_leave_nothing(real_service: Service) -> None:
    for _ in range(20):
        real_service.start()
        real_service.post("/stop")
    assert not real_service.workers()
    folder = real_service.run_folder()
    assert folder is not None
    assert not list(folder.iterdir())
