"""Load, unload, verify, import and search, as the contract adds them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.gguf_corpus import write_gguf
from tests.running import (
    BASE_MODEL,
    BASE_MODEL_ID,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    Service,
    store_tiny_model,
)

requirement = pytest.mark.requirement


def loaded(service: Service) -> set[str]:
    return {model["model_id"] for model in service.get("/models/loaded").json()["models"]}


@requirement("10.load")
def test_load_and_unload_beside_the_own_model(running_api: Service) -> None:
    answer = running_api.post(f"/models/{BASE_MODEL}/load").json()
    assert (answer["success"], answer["loaded_model_id"]) == (True, BASE_MODEL_ID)
    assert loaded(running_api) == {CHAT_MODEL_ID, BASE_MODEL_ID}
    assert running_api.status()["current_model"] == CHAT_MODEL
    for message in ("Model unloaded successfully", "Model is not loaded"):
        answer = running_api.post(f"/models/{BASE_MODEL_ID}/unload").json()
        assert answer == {"success": True, "message": message, "model_name": BASE_MODEL}
    assert loaded(running_api) == {CHAT_MODEL_ID}
    assert running_api.post("/models/nope/load").status_code == 404


@requirement("10.verify")
def test_verify(api: Service) -> None:
    answer = api.post(f"/models/{CHAT_MODEL}/verify").json()
    assert (answer["is_sound"], [file["problem"] for file in answer["files"]]) == (True, [None])
    path = store_tiny_model(api.home, CHAT_MODEL)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    answer = api.post(f"/models/{CHAT_MODEL}/verify", {}).json()
    assert answer["is_sound"] is False and answer["files"][0]["problem"]
    assert str(api.home) not in json.dumps(answer)
    assert api.http.delete(f"/models/{CHAT_MODEL}").status_code == 200


@requirement("10.import")
def test_import_of_a_file_of_this_machine(api: Service, tmp_path: Path) -> None:
    file = tmp_path / "my-own-model-Q4_K_M.gguf"
    write_gguf(file)
    answer = api.post("/models/import", {"path": str(file)}).json()
    assert (answer["success"], answer["file_size_bytes"]) == (True, file.stat().st_size)
    name = answer["model_name"]
    assert api.get(f"/models/{name}").json()["is_downloaded"] is True
    assert api.start(name)["model"] == name
    api.post("/stop")
    assert api.http.delete(f"/models/{name}").status_code == 200
    assert file.exists(), "a copy was imported"
    for body in ({}, {"path": str(file), "repo": "a/b"}, {"path": 3}, {"path": "x", "surprise": 1}):
        answer = api.post("/models/import", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@requirement("10.search")
def test_search_refuses_in_the_one_shape(api: Service) -> None:
    for body in ({}, {"query": ""}, {"query": "qwen", "limit": 0}, {"query": 3}):
        answer = api.post("/models/search", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
