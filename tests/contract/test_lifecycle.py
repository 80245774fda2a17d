"""What becomes of an operation: in time, in its options, after a failure, and beside others."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_server import HELLO, flags, free_port
from tests.running import (
    BASE_MODEL,
    BASE_MODEL_ID,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    Service,
    eventually,
    running,
    store_tiny_model,
)

requirement = pytest.mark.requirement
CHAT = "/v1/chat/completions"


def loaded(service: Service) -> list[str]:
    return [model["simple_name"] for model in service.get("/models/loaded").json()["models"]]


def logged(service: Service, text: str) -> list[str]:
    return [line["message"] for line in service.get("/logs?count=10000").json() if text in line["message"]]


def chat(service: Service, model: str | None = None) -> int:
    with service.gateway() as gateway:
        return gateway.post(CHAT, json=HELLO | ({"model": model} if model else {})).status_code


class Later:
    """A call in a thread of its own; `status` waits for its answer."""

    def __init__(self, call: Any) -> None:
        self._found: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._found.append(call()))
        self._thread.start()

    def status(self) -> int:
        self._thread.join(30)
        assert self._found, "no answer within 30 s"
        return int(getattr(self._found[0], "status_code", self._found[0]))


# --- in time, and with their options ---------------------------------------------------------------------


@requirement("6.as-it-happens")
def test_an_event_is_sent_when_it_happens(api: Service) -> None:
    flags(api, CHAT_MODEL, "--ready-after 2")
    with api.http.stream("POST", "/start-stream", json={"model_name": CHAT_MODEL}) as answer:
        lines = answer.iter_lines()
        while "Waiting for server" not in next(lines):
            pass
        assert api.status()["status"] == "starting"
        rest = "".join(lines)
    flags(api, CHAT_MODEL, "")
    assert '"type":"success"' in rest


@requirement("start.options", "switch.options")
def test_options_reach_the_worker(api: Service) -> None:
    api.start(options={"context_size": 512, "parallel": 2, "threads": 1, "gpu_layers": 0})
    assert "order: context_size=512 parallel=2 threads=1 gpu_layers=0" in api.worker_log()
    body = {"model_name": BASE_MODEL, "options": {"context_size": 768, "parallel": 3}}
    assert api.post("/switch-model", body).status_code == 200
    assert "order: context_size=768 parallel=3 threads=None gpu_layers=None" in api.worker_log()


@requirement("start.options", "switch.options", "9.periods")
def test_a_shorter_period_of_the_health_monitor_holds_at_once(api: Service) -> None:
    api.post("/config", {"default_log_level": "DEBUG"})
    api.start(options={"health_check_interval_seconds": 3600})
    seen = len(logged(api, "Health check passed"))
    body = {"model_name": BASE_MODEL, "options": {"health_check_interval_seconds": 0.1}}
    assert api.post("/switch-model", body).status_code == 200
    eventually("it is asked again", lambda: len(logged(api, "Health check passed")) > seen + 3)
    assert api.get("/health").json()["status"] == "healthy"


@requirement("9.periods")
def test_three_periods_without_an_answer_are_not_healthy(api: Service) -> None:
    flags(api, CHAT_MODEL, "--stop-answering 3")
    api.start(options={"health_check_interval_seconds": 0.1})
    # Well before the first check that hangs has timed out: it is the time since the last answer that counts.
    eventually("not healthy", lambda: not api.status()["health"]["is_healthy"], 2.5)
    flags(api, CHAT_MODEL, "")


# --- after a failure --------------------------------------------------------------------------------------


@requirement("2.start-fails")
def test_a_start_whose_worker_does_not_answer_leaves_nothing(api: Service) -> None:
    flags(api, CHAT_MODEL, "--stop-answering 0")
    answer = api.post("/start", {"model_name": CHAT_MODEL})
    flags(api, CHAT_MODEL, "")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "server_start_failed")
    assert (api.status()["status"], loaded(api), api.workers()) == ("stopped", [], [])


@requirement("2.switch-fails")
def test_a_switch_whose_worker_does_not_answer_leaves_the_old_one_alone(running_api: Service) -> None:
    flags(running_api, BASE_MODEL, "--stop-answering 0")
    answer = running_api.post("/switch-model", {"model_name": BASE_MODEL})
    flags(running_api, BASE_MODEL, "")
    assert "is still serving requests" in answer.json()["error"]["details"]
    assert (loaded(running_api), len(running_api.workers())) == ([CHAT_MODEL], 1)


@requirement("2.stop-stopped")
def test_stop_after_a_failure_says_that_nothing_runs(api: Service) -> None:
    api.post("/config", {"restart_delays_seconds": []})
    api.start()
    api.workers()[0].kill()
    eventually("given up", lambda: api.status()["status"] == "error")
    assert api.post("/stop").json() == {"success": True, "message": "Server is not running"}
    assert api.status()["status"] == "stopped"


# --- beside others ----------------------------------------------------------------------------------------


@requirement("2.switch-keeps")
def test_a_client_keeps_its_connection_over_a_switch(running_api: Service) -> None:
    health = running_api.status()["health"]
    client = http.client.HTTPConnection("127.0.0.1", running_api.status()["port"], timeout=30)
    addresses = []
    for model in (CHAT_MODEL_ID, BASE_MODEL_ID):
        headers = {"Authorization": f"Bearer {health['api_key']}"}
        client.request("POST", CHAT, json.dumps(HELLO), headers)
        assert json.loads(client.getresponse().read())["model"] == model
        addresses.append(client.sock.getsockname())
        running_api.post("/switch-model", {"model_name": BASE_MODEL})
    client.close()
    assert addresses[0] == addresses[1]


@requirement("2.switch-keeps")
def test_a_switch_to_another_port_releases_the_former(running_api: Service) -> None:
    former = running_api.status()["port"]
    running_api.post("/switch-model", {"model_name": BASE_MODEL, "port": free_port()})
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", former)) != 0


@requirement("2.switch-waits")
def test_requests_wait_for_a_switch_that_has_to_make_room(home: Path) -> None:
    store_tiny_model(home, CHAT_MODEL)
    store_tiny_model(home, BASE_MODEL, worker_flags="--ready-after 1")
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_BUDGET_MB="60") as service:
        service.start()
        switch = Later(lambda: service.http.post("/switch-model", json={"model_name": BASE_MODEL}))
        eventually("the old one is gone", lambda: not loaded(service))
        assert service.status()["status"] == "switching"
        assert chat(service) == 200
        assert switch.status() == 200


@requirement("models.unload-all")
def test_unload_all_ends_the_processes(running_api: Service) -> None:
    assert chat(running_api, BASE_MODEL) == 200
    assert len(running_api.workers()) == 2
    running_api.post("/models/unload-all")
    assert running_api.workers() == []


@requirement("2.unload-return")
def test_unload_all_while_the_model_comes_back_leaves_the_server_up(api: Service) -> None:
    api.post("/config", {"restart_delays_seconds": [0.1]})
    api.start()
    flags(api, CHAT_MODEL, "--ready-after 3")
    api.workers()[0].kill()
    eventually("it is loaded again", lambda: logged(api, "Restarting the worker") and api.workers())
    assert api.post("/models/unload-all").status_code == 200
    flags(api, CHAT_MODEL, "")
    assert (api.status()["status"], api.workers()) == ("running", [])
    assert chat(api) == 200


@requirement("2.unload-return")
def test_a_request_that_waits_for_its_model_outlives_an_unload_all(running_api: Service) -> None:
    flags(running_api, BASE_MODEL, "--ready-after 1")
    waiting = Later(lambda: chat(running_api, BASE_MODEL))
    eventually("it is being loaded", lambda: len(running_api.workers()) == 2)
    assert running_api.post("/models/unload-all").status_code == 200
    assert waiting.status() == 200
    flags(running_api, BASE_MODEL, "")


@requirement("2.unload-return")
def test_while_the_models_leave_the_server_is_running(running_api: Service) -> None:
    flags(running_api, BASE_MODEL, "--rate 20 --tokens 40")
    talk = Later(lambda: chat(running_api, BASE_MODEL))
    eventually("it answers", lambda: BASE_MODEL in loaded(running_api))
    unload = Later(lambda: running_api.http.post("/models/unload-all"))
    eventually("it leaves", lambda: BASE_MODEL not in loaded(running_api))
    error = running_api.post("/start", {"model_name": CHAT_MODEL}).json()["error"]
    assert error["code"] == "server_already_running"
    assert running_api.post("/switch-model", {"model_name": CHAT_MODEL}).status_code == 200
    assert (unload.status(), talk.status()) == (200, 200)
    flags(running_api, BASE_MODEL, "")


@requirement("8.cache-dir")
def test_a_model_in_a_former_cache_folder_comes_back_from_there(running_api: Service, tmp_path: Path) -> None:
    assert running_api.post("/config", {"cache_dir": str(tmp_path / "new")}).status_code == 200
    running_api.post("/models/unload-all")
    assert chat(running_api) == 200
    assert loaded(running_api) == [CHAT_MODEL]
    entries = {one["simple_name"]: one for one in running_api.get("/models").json()["models"]}
    assert (entries[CHAT_MODEL]["is_downloaded"], entries[CHAT_MODEL]["is_loaded"]) == (True, True)
    assert entries[BASE_MODEL]["is_downloaded"] is False


@requirement("2.own-model")
def test_a_model_that_was_switched_away_from_as_it_came_back_may_leave(api: Service) -> None:
    api.post("/config", {"idle_unload_seconds": 1})
    api.start()
    api.post("/models/unload-all")
    flags(api, CHAT_MODEL, "--ready-after 2")
    talk = Later(lambda: chat(api))
    eventually("it is being loaded", lambda: api.workers())
    api.post("/switch-model", {"model_name": BASE_MODEL})
    talk.status()
    flags(api, CHAT_MODEL, "")
    eventually("the former one leaves", lambda: loaded(api) == [BASE_MODEL], 15)


@requirement("10.details")
def test_a_start_that_cannot_fit_is_507_before_the_download(tmp_path: Path) -> None:
    name = "Qwen2.5-3B-Instruct-Q4_K_M-GGUF"
    with running(tmp_path, FOUNDRYLOCAL_MEMORY_BUDGET_MB="64") as service:
        memory = service.get(f"/models/{name}").json()["memory"]
        for path in ("/start", "/start-stream", "/switch-model"):
            answer = service.post(path, {"model_name": name, "port": 0})
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (507, "insufficient_memory")
            assert f"Needed: {memory['total_formatted']}, free: 64.0 MB." in error["details"]
        assert memory["available_bytes"] == 64 * 1024 * 1024
        assert service.status()["status"] == "stopped"
        assert service.get("/downloads").json()["downloads"] == []
        assert not list((tmp_path / "cache").glob("partial/*/*"))
