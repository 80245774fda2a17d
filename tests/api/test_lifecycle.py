"""Start, stop, status and their refusals, through HTTP, with real (fake) worker processes."""

from __future__ import annotations

import pytest

from tests.running import BASE_MODEL, CHAT_MODEL, CHAT_MODEL_ID, Service

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
START_MESSAGES = [
    "Checking if model is downloaded...",
    "Model found locally",
    "Starting FoundryLocal server...",
    "Waiting for server to be ready...",
    "Server health check passed",
    "Server started successfully",
]


def test_start_status_chat_stop(service: Service) -> None:
    started = service.start()
    assert started["model"] == CHAT_MODEL
    assert started["loaded_model_id"] == CHAT_MODEL_ID
    assert started["endpoint"] == f"http://127.0.0.1:{started['port']}/v1"
    status = service.status()
    assert (status["status"], status["is_running"]) == ("running", True)
    assert status["health"]["api_key"] == started["api_key"]
    with service.gateway() as gateway:
        answer = gateway.post("/v1/chat/completions", json=HELLO)
    assert answer.json()["choices"][0]["message"]["content"]
    assert service.post("/stop").json() == {"success": True, "message": "Server stopped successfully"}
    assert service.status()["status"] == "stopped"
    assert service.post("/stop").json() == {"success": True, "message": "Server is not running"}


def test_start_stream_reports_the_published_messages_in_order(service: Service) -> None:
    events = service.events("/start-stream", {"model_name": CHAT_MODEL})
    assert [event["message"] for event in events] == START_MESSAGES
    assert [event["type"] for event in events] == ["progress"] * 5 + ["success"]
    assert events[-1]["data"]["model"] == CHAT_MODEL


def test_start_while_running_is_a_conflict_that_names_the_model(service: Service) -> None:
    service.start()
    error = service.post("/start", {"model_name": BASE_MODEL}).json()["error"]
    assert error["code"] == "server_already_running"
    assert error["message"].endswith(f"'{CHAT_MODEL}'")


@pytest.mark.parametrize("name", [CHAT_MODEL.upper(), CHAT_MODEL_ID.lower()])
def test_a_model_is_named_in_any_case_and_either_form(service: Service, name: str) -> None:
    assert service.start(name)["loaded_model_id"] == CHAT_MODEL_ID


def test_switch_keeps_port_and_key(service: Service) -> None:
    before = service.start()
    after = service.post("/switch-model", {"model_name": BASE_MODEL}).json()
    assert after["model"] == BASE_MODEL
    assert (after["port"], after["api_key"]) == (before["port"], before["api_key"])


def test_after_unload_all_the_next_request_loads_again(service: Service) -> None:
    service.start()
    assert service.post("/models/unload-all").json()["success"] is True
    status = service.status()
    assert (status["status"], status["loaded_model_id"], status["current_model"]) == (
        "running",
        None,
        CHAT_MODEL,
    )
    with service.gateway() as gateway:
        assert gateway.post("/v1/chat/completions", json=HELLO).status_code == 200
    assert service.status()["loaded_model_id"] == CHAT_MODEL_ID


def test_delete_of_the_loaded_model_is_a_conflict(service: Service) -> None:
    service.start()
    answer = service.http.delete(f"/models/{CHAT_MODEL}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "model_in_use")
    service.post("/stop")
    assert service.http.delete(f"/models/{CHAT_MODEL}").json()["freed_space_bytes"] > 0
    assert service.http.delete(f"/models/{CHAT_MODEL}").status_code == 404
