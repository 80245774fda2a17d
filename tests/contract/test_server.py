"""Start, stop, status, switch, unload: answers, messages, conflicts."""

from __future__ import annotations

import json
import socket
import threading
import time

import httpx
import pytest

from tests.contract.shape import assert_like
from tests.running import (
    BASE_MODEL,
    BASE_MODEL_ID,
    BASE_PATH,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    Service,
    eventually,
    store_tiny_model,
)

requirement = pytest.mark.requirement

STARTED = {
    "success": True,
    "message": "Server started successfully",
    "port": 1234,
    "model": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "loaded_model_id": "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "endpoint": "http://127.0.0.1:1234/v1",
    "api_key": "fl-YourApiKey123",
}
MESSAGES = [
    ("progress", "Checking if model is downloaded..."),
    ("progress", "Model found locally"),
    ("progress", "Starting FoundryLocal server..."),
    ("progress", "Waiting for server to be ready..."),
    ("progress", "Server health check passed"),
    ("success", "Server started successfully"),
]
HELLO = {"messages": [{"role": "user", "content": "Hi"}]}


def flags(service: Service, model: str, text: str) -> None:
    """Give the fake worker of that model its orders; empty ones are none."""
    store_tiny_model(service.home, model, worker_flags=text)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@requirement("start.answer")
def test_start(api: Service) -> None:
    started = api.start()
    assert_like(started, STARTED)
    assert started["message"] == STARTED["message"]
    assert (started["model"], started["loaded_model_id"]) == (CHAT_MODEL, CHAT_MODEL_ID)
    assert started["endpoint"] == f"http://127.0.0.1:{started['port']}/v1"
    assert started["api_key"].startswith("fl-")


@requirement("start.port", "2.port")
def test_start_takes_a_port_and_releases_it(api: Service) -> None:
    port = free_port()
    assert api.start(port=port)["port"] == port
    with api.gateway() as gateway:
        assert gateway.get("/v1/models").status_code == 200
    api.post("/stop")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))


@requirement("2.port")
def test_a_held_port_is_a_conflict_that_names_its_owner(api: Service) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        answer = api.post("/start", {"model_name": CHAT_MODEL, "port": port})
        streamed = api.post("/start-stream", {"model_name": CHAT_MODEL, "port": port})
    assert (answer.status_code, streamed.status_code) == (409, 409)
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("conflict_error", "port_in_use")
    assert str(port) in error["message"] and "python" in error["message"]
    assert api.workers() == []
    assert api.status()["status"] == "stopped"


@requirement("start.options")
@pytest.mark.parametrize(
    "options",
    [
        {"auto_download": True, "timeout_seconds": 300, "health_check_interval_seconds": 2},
        {"auto_download": False},
        {"context_size": 512, "parallel": 2, "threads": 1, "gpu_layers": 0},
        {},
    ],
)
def test_start_takes_options(api: Service, options: dict[str, object]) -> None:
    assert api.start(options=options)["success"] is True


@requirement("start-stream.messages", "start-stream.form", "6.one-end", "6.headers")
def test_start_stream(api: Service) -> None:
    with api.http.stream("POST", "/start-stream", json={"model_name": CHAT_MODEL}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        assert "content-encoding" not in answer.headers
        text = answer.read().decode()
    assert text.endswith("\n\n")
    blocks = text.removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("data: {") and "\n" not in block for block in blocks)
    events = [json.loads(block[6:]) for block in blocks]
    assert [(event["type"], event["message"]) for event in events] == MESSAGES
    assert all(list(event) == ["type", "message"] for event in events[:-1])
    assert blocks[0] == 'data: {"type":"progress","message":"Checking if model is downloaded..."}'
    data = {name: STARTED[name] for name in ("success", "port", "model", "endpoint")}
    assert list(events[-1]) == ["type", "message", "data"]
    assert_like(events[-1]["data"], data)
    assert events[-1]["data"]["api_key"] == api.status()["health"]["api_key"]


@requirement("stop.answer", "2.stop-stopped")
def test_stop(running_api: Service) -> None:
    assert running_api.post("/stop").json() == {"success": True, "message": "Server stopped successfully"}
    assert running_api.post("/stop").json() == {"success": True, "message": "Server is not running"}


@requirement("status.running", "4.numbers", "2.last-error")
def test_status_of_a_running_server(api: Service) -> None:
    started = api.start()
    status = api.status()
    assert_like(
        status,
        {
            "is_running": True,
            "status": "running",
            "current_model": CHAT_MODEL,
            "loaded_model_id": CHAT_MODEL_ID,
            "port": 1234,
            "health": {
                "is_healthy": True,
                "response_time_ms": 45,
                "endpoint": "http://127.0.0.1:1234/v1",
                "last_check": "2025-01-20T10:30:00Z",
                "api_key": "fl-YourApiKey123",
            },
            "last_updated": "2025-01-20T10:30:00Z",
            "last_error": None,
            "uptime_seconds": 1,
            "replicas": 1,
        },
    )
    assert (status["status"], status["is_running"], status["health"]["is_healthy"]) == ("running", True, True)
    assert (status["current_model"], status["loaded_model_id"]) == (CHAT_MODEL, CHAT_MODEL_ID)
    assert (status["port"], status["health"]["endpoint"]) == (started["port"], started["endpoint"])


@requirement("status.stopped")
def test_status_of_a_stopped_server(api: Service) -> None:
    status = api.status()
    assert status == {
        "is_running": False,
        "status": "stopped",
        "current_model": None,
        "loaded_model_id": None,
        "port": None,
        "health": {
            "is_healthy": False,
            "response_time_ms": 0,
            "endpoint": None,
            "last_check": status["health"]["last_check"],
        },
        "last_updated": status["last_updated"],
        "last_error": status["last_error"],
        "uptime_seconds": 0,
        "replicas": 0,
        "options": None,
        "queues": status["queues"],
        "totals": status["totals"],
    }
    assert list(status)[:7] == [
        "is_running",
        "status",
        "current_model",
        "loaded_model_id",
        "port",
        "health",
        "last_updated",
    ]
    assert list(status["health"]) == ["is_healthy", "response_time_ms", "endpoint", "last_check"]


@requirement("2.last-error")
def test_the_last_failure_is_told_until_a_start_succeeds(api: Service) -> None:
    flags(api, CHAT_MODEL, "--fail-with nope")
    refused = api.post("/start", {"model_name": CHAT_MODEL}).json()["error"]
    assert refused["code"] == "server_start_failed"
    assert "nope" in refused["details"]
    told = api.status()["last_error"]
    assert (told["code"], told["details"]) == (refused["code"], refused["details"])
    flags(api, CHAT_MODEL, "")
    api.start()
    assert api.status()["last_error"] is None


@requirement("switch.answer", "2.switch-keeps")
def test_switch(api: Service) -> None:
    before = api.start()
    after = api.post("/switch-model", {"model_name": BASE_MODEL}).json()
    assert_like(after, STARTED)
    assert after["message"] == "Server started successfully"
    assert (after["model"], after["loaded_model_id"]) == (BASE_MODEL, BASE_MODEL_ID)
    assert (after["port"], after["api_key"], after["endpoint"]) == (
        before["port"],
        before["api_key"],
        before["endpoint"],
    )
    status = api.status()
    assert (status["current_model"], status["loaded_model_id"]) == (BASE_MODEL, BASE_MODEL_ID)


@requirement("switch.options", "2.switch-starts")
def test_switch_starts_a_stopped_server(api: Service) -> None:
    body = {"model_name": BASE_MODEL, "options": {"auto_download": True, "timeout_seconds": 240}}
    assert api.post("/switch-model", body).json()["model"] == BASE_MODEL
    assert api.status()["status"] == "running"


@requirement("2.switch-keeps")
def test_a_switch_to_another_port_moves(running_api: Service) -> None:
    port, former = free_port(), running_api.status()["port"]
    after = running_api.post("/switch-model", {"model_name": BASE_MODEL, "port": port}).json()
    assert after["port"] == port != former
    with running_api.gateway() as gateway:
        assert gateway.post("/v1/chat/completions", json=HELLO).status_code == 200


@requirement("2.switch-fails")
def test_when_the_new_model_fails_the_old_one_serves_on(api: Service) -> None:
    before = api.start()
    flags(api, BASE_MODEL, "--fail-with nope")
    answer = api.post("/switch-model", {"model_name": BASE_MODEL})
    flags(api, BASE_MODEL, "")
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (500, "server_error", "server_start_failed")
    assert "nope" in error["details"]
    assert f"'{CHAT_MODEL}' is still serving requests" in error["details"]
    status = api.status()
    assert (status["status"], status["current_model"], status["port"]) == (
        "running",
        CHAT_MODEL,
        before["port"],
    )
    with api.gateway() as gateway:
        assert gateway.post("/v1/chat/completions", json=HELLO).status_code == 200


@requirement("models.unload-all", "2.unload-return")
def test_unload_all_and_return(running_api: Service) -> None:
    api = running_api
    assert api.post("/models/unload-all").json() == {
        "success": True,
        "message": "All models unloaded successfully",
    }
    status = api.status()
    assert (status["status"], status["is_running"]) == ("running", True)
    assert (status["current_model"], status["loaded_model_id"]) == (CHAT_MODEL, None)
    assert api.get("/models/loaded").json() == {"models": [], "total_count": 0}
    with api.gateway() as gateway:
        assert gateway.post("/v1/chat/completions", json=HELLO).status_code == 200
    assert api.status()["loaded_model_id"] == CHAT_MODEL_ID


@requirement("models.unload-all")
def test_unload_all_of_a_stopped_server_is_fine(api: Service) -> None:
    assert api.post("/models/unload-all").status_code == 200


@requirement("2.busy")
def test_operations_exclude_each_other_and_stop_cancels(api: Service) -> None:
    flags(api, CHAT_MODEL, "--never-ready")
    started: list[httpx.Response] = []
    caller = threading.Thread(
        target=lambda: started.append(
            httpx.post(f"{api.base}/start", json={"model_name": CHAT_MODEL}, timeout=60)
        )
    )
    caller.start()
    eventually("the start is under way", lambda: api.status()["status"] == "starting")
    for path in ("/start", "/start-stream", "/switch-model"):
        answer = api.post(path, {"model_name": BASE_MODEL})
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (
            409,
            "conflict_error",
            "operation_in_progress",
        )
    assert api.post("/models/unload-all").json()["error"]["code"] == "operation_in_progress"
    assert api.post("/stop").status_code == 200
    caller.join(20)
    flags(api, CHAT_MODEL, "")
    assert (started[0].status_code, started[0].json()["error"]["code"]) == (409, "operation_cancelled")
    assert api.status()["status"] == "stopped"
    assert api.workers() == []


@requirement("2.caller-gone")
@pytest.mark.parametrize("path", ["/start", "/start-stream"])
def test_a_caller_that_goes_away_cancels_nothing(api: Service, path: str) -> None:
    flags(api, CHAT_MODEL, "--ready-after 0.7")
    body = json.dumps({"model_name": CHAT_MODEL}).encode()
    with socket.create_connection(("127.0.0.1", api.port)) as sock:
        head = f"POST {BASE_PATH}{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        eventually("the start is under way", lambda: api.status()["status"] == "starting")
    eventually("the server runs all the same", lambda: api.status()["status"] == "running")
    flags(api, CHAT_MODEL, "")


@requirement("health.running", "health.stopped")
def test_health(api: Service) -> None:
    published = {
        "status": "healthy",
        "service": "foundry-local-api",
        "version": "2.0.0",
        "timestamp": "2025-01-20T10:30:00Z",
        "foundry_local": {"is_running": False, "status": "stopped", "port": None, "model": None},
    }
    stopped = api.get("/health").json()
    assert_like(stopped, published)
    assert (stopped["status"], stopped["service"], stopped["version"]) == (
        "healthy",
        "foundry-local-api",
        "2.0.0",
    )
    assert stopped["foundry_local"] == {
        "is_running": False,
        "is_healthy": False,
        "status": "stopped",
        "port": None,
        "model": None,
    }
    started = api.start()
    health = api.get("/health").json()
    assert health["status"] == "healthy"
    assert health["foundry_local"] == {
        "is_running": True,
        "is_healthy": True,
        "status": "running",
        "port": started["port"],
        "model": CHAT_MODEL,
    }


@requirement("9.degraded")
def test_health_is_degraded_while_the_worker_does_not_answer(api: Service) -> None:
    api.start(options={"health_check_interval_seconds": 0.1})
    [worker] = api.workers()[:1]
    worker.suspend()
    try:
        eventually("degraded", lambda: api.get("/health").json()["status"] == "degraded", 20)
        answer = api.get("/health")
        assert (answer.status_code, answer.json()["foundry_local"]["is_healthy"]) == (200, False)
    finally:
        worker.resume()


@requirement("3.names")
@pytest.mark.parametrize("name", [CHAT_MODEL, CHAT_MODEL_ID, CHAT_MODEL.lower(), CHAT_MODEL_ID.upper()])
def test_any_form_of_a_name_starts_the_model(api: Service, name: str) -> None:
    started = api.start(name)
    assert (started["model"], started["loaded_model_id"]) == (CHAT_MODEL, CHAT_MODEL_ID)
    error = api.post("/start", {"model_name": name}).json()["error"]
    assert error["message"] == f"FoundryLocal server is already running with model '{CHAT_MODEL}'"


@requirement("4.numbers")
def test_times_are_utc_and_of_now(running_api: Service) -> None:
    text = running_api.get("/health").json()["timestamp"]
    assert abs(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())) < 60
