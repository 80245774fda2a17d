"""Section 18: engines and devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.llama_server import make_llama_server
from tests.running import CHAT_MODEL, FAKE_WORKER, running, store_tiny_model

requirement = pytest.mark.requirement
FIELDS = {"name", "kind", "version", "devices", "state", "message", "action"}


@requirement("18.list", "18.states")
def test_engines_with_version_devices_and_state(home: Path, tmp_path: Path) -> None:
    paths = {how: make_llama_server(tmp_path / how, how) for how in ("gpu", "old", "crashes", "library")}
    paths["gone"] = tmp_path / "gone" / "llama-server"
    setting = ",".join(f"{name}={path}" for name, path in paths.items())
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=setting) as service:
        answer = service.get("/engines").json()
    assert set(answer) == {"engines", "total_count", "current"}
    assert (answer["total_count"], answer["current"]) == (6, "built-in")
    found = {one["name"]: one for one in answer["engines"]}
    assert all(set(one) == FIELDS for one in found.values())
    assert (found["built-in"]["kind"], found["gpu"]["kind"]) == ("built-in", "llama-server")
    (device,) = found["gpu"]["devices"]
    assert set(device) == {"name", "kind", "memory_bytes", "free_bytes"}
    assert {name: one["state"] for name, one in found.items()} == {
        "built-in": "ready",
        "gpu": "ready",
        "old": "incompatible",
        "crashes": "incompatible",
        "library": "incompatible",
        "gone": "missing",
    }
    for one in found.values():
        is_ready = one["state"] == "ready"
        assert is_ready or (one["message"] and one["action"])


@requirement("18.choice")
def test_a_start_and_a_preset_name_an_engine(home: Path, tmp_path: Path) -> None:
    store_tiny_model(home)
    setting = f"mine={make_llama_server(tmp_path)}"
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_ENGINES=setting) as service:
        service.start(options={"engine": "mine"})
        assert service.get("/engines").json()["current"] == "mine"
        service.post("/stop")
        assert service.post(f"/models/{CHAT_MODEL}/preset", {"engine": "mine"}).status_code == 200
        service.start()
        assert service.get("/engines").json()["current"] == "mine"


@requirement("18.file-only")
def test_no_caller_of_the_api_adds_a_program(home: Path, tmp_path: Path) -> None:
    with running(home, worker=FAKE_WORKER) as service:
        answer = service.post("/config", {"engines": {"mine": str(make_llama_server(tmp_path))}})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_configuration")
        assert service.get("/engines").json()["total_count"] == 1


@requirement("18.gpu-layers")
def test_layers_for_a_gpu_that_is_not_there_are_told_or_refused(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER) as service:
        body = {"model_name": CHAT_MODEL, "options": {"gpu_layers": 20, "strict": True}}
        assert service.post("/start", body).status_code == 400
        service.start(options={"gpu_layers": 20})
        options = service.status()["options"]
        assert (options["asked"]["gpu_layers"], options["effective"]["gpu_layers"]) == (20, 0)
        assert "found no GPU" in options["reasons"]["gpu_layers"]
