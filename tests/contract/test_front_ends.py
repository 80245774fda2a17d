"""For front ends: the state of each model, loading and unloading by the gateway's clients, progress in a 503."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.process.gateway.raw import CHAT, HELLO
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


def models(gateway: httpx.Client) -> dict[str, dict[str, Any]]:
    return {model["id"]: model for model in gateway.get("/v1/models").json()["data"]}


@requirement("21.models", "21.load")
def test_models_are_loaded_and_unloaded_as_by_llama_cpps_router(service: Service) -> None:
    service.start()
    with service.gateway() as gateway:
        found = models(gateway)
        assert found[CHAT_MODEL_ID]["status"] == {"value": "loaded"}
        assert found[BASE_MODEL_ID]["status"] == {"value": "unloaded"}
        assert found[CHAT_MODEL_ID]["context_length"] == 8192
        assert found[CHAT_MODEL_ID]["capabilities"] == ["chat"]
        for prefix in ("", "/v1"):
            answer = gateway.post(f"{prefix}/models/load", json={"model": BASE_MODEL})
            assert (answer.status_code, answer.json()) == (200, {"success": True})
            assert models(gateway)[BASE_MODEL_ID]["status"] == {"value": "loaded"}
            answer = gateway.post(f"{prefix}/models/unload", json={"model": BASE_MODEL})
            assert (answer.status_code, answer.json()) == (200, {"success": True})
            assert models(gateway)[BASE_MODEL_ID]["status"] == {"value": "unloaded"}
        unknown = gateway.post("/models/load", json={"model": "nobody"})
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
        assert gateway.post("/models/load", json={}).json()["error"]["param"] == "model"
        assert gateway.get("/models/load").status_code == 405
    base = service.status()["health"]["endpoint"].removesuffix("/v1")
    assert httpx.post(f"{base}/models/load", json={"model": BASE_MODEL}).status_code == 401


@requirement("21.models")
def test_a_model_that_failed_says_so(home: Path) -> None:
    store_tiny_model(home)
    store_tiny_model(home, BASE_MODEL, worker_flags="--fail-with 'tensor shapes are wrong'")
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        with service.gateway() as gateway:
            assert gateway.post("/models/load", json={"model": BASE_MODEL}).status_code == 500
            assert models(gateway)[BASE_MODEL_ID]["status"] == {"value": "failed"}


@requirement("21.loading")
def test_a_503_says_how_far_the_load_has_come(home: Path) -> None:
    store_tiny_model(home, worker_flags="--ready-after 3")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PORT=str(port)) as service:
        starting = Thread(target=service.start)
        starting.start()
        url = f"http://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {(home / 'state' / 'gateway.key').read_text().strip()}"}

        def loading() -> httpx.Response | None:
            try:
                answer = httpx.post(url + CHAT, json=HELLO, headers=headers)
            except httpx.ConnectError:
                return None
            return answer if answer.status_code == 503 else None

        answer = eventually("it is loading", loading)
        about = answer.json()["error"]
        assert about["code"] == "model_loading" and "Loading model" in about["message"]
        assert about["loading"].keys() == {"model", "progress", "eta_seconds"}
        assert about["loading"]["model"] == CHAT_MODEL
        assert about["loading"]["eta_seconds"] is None  # nothing like it was measured yet
        assert int(answer.headers["retry-after"]) >= 1
        listed = httpx.get(url + "/v1/models", headers=headers).json()["data"]
        assert [model["status"] for model in listed] == [{"value": "loading"}]
        starting.join()


@requirement("21.overridden")
def test_what_fixes_a_setting_is_told(home: Path) -> None:
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PARALLEL="2") as service:
        answer = service.post("/config", {"parallel": 3}).json()
        assert answer["overridden"]["parallel"] == "FOUNDRYLOCAL_PARALLEL"
        assert answer["overridden"]["api_port"] == "command line"
        assert answer["parallel"] == 2
