"""The preset of one model over HTTP: merged, validated, explained, and in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.gguf_corpus import write_gguf
from tests.running import (
    BASE_MODEL,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    Service,
    running,
    store_tiny_model,
)

PRESET = f"/models/{CHAT_MODEL}/preset"


def post(service: Service, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = service.post(PRESET, body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_a_preset_is_merged_explained_and_removed(service: Service) -> None:
    empty = service.get(PRESET).json()
    assert (empty["model"], empty["saved"]) == (CHAT_MODEL, {})
    assert set(empty["sources"].values()) <= {"setting", "model", "auto"}
    assert set(empty["sources"]) == set(empty["effective"])
    changed = post(service, {"context_size": 512, "temperature": 0.25, "pinned": True})
    assert (changed["success"], changed["message"]) == (True, "Preset saved successfully")
    assert changed["applies"] == {"context_size": "next_load", "pinned": "at_once", "temperature": "at_once"}
    assert changed["effective"]["context_size"] == 512
    for name in ("context_size", "temperature", "pinned"):
        assert changed["sources"][name] == "preset"
    merged = post(service, {"temperature": None, "stop": "END"})
    assert merged["saved"] == {"context_size": 512, "pinned": True, "stop": ["END"]}
    assert merged["effective"]["temperature"] is None
    assert service.get(PRESET).json()["saved"] == merged["saved"]
    removed = service.http.delete(PRESET).json()
    assert (removed["message"], removed["saved"]) == ("Preset removed successfully", {})
    assert sorted(removed["applies"]) == ["context_size", "pinned", "stop"]
    assert service.get(PRESET).json() == empty


def test_every_name_of_a_model_leads_to_its_preset(service: Service) -> None:
    service.post("/config", {"aliases": {"mine": CHAT_MODEL}})
    post(service, {"seed": 7})
    for name in (CHAT_MODEL_ID, CHAT_MODEL_ID.replace("/", "%2F"), CHAT_MODEL.lower(), "mine"):
        assert service.get(f"/models/{name}/preset").json()["saved"] == {"seed": 7}
    assert service.get(f"/models/{BASE_MODEL}/preset").json()["saved"] == {}


def test_a_dry_run_shows_the_outcome_and_saves_nothing(service: Service) -> None:
    shown = post(service, {"context_size": 768, "dry_run": True})
    assert shown["message"] == "Preset is valid; nothing was saved"
    assert (shown["effective"]["context_size"], shown["sources"]["context_size"]) == (768, "preset")
    assert shown["applies"] == {"context_size": "next_load"}
    assert service.get(PRESET).json()["saved"] == {}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"surprise": 1}, "surprise"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"context_size": "large"}, "context_size"),
        ({"context_size": 4096}, "context_size"),  # the tiny model has 2048
        ({"kv_cache_type": "q2_k"}, "kv_cache_type"),
        ({"kv_cache_type": "q8_0"}, "kv_cache_type"),  # its heads have 16 values
        ({"speculative": {"draft_model": ""}}, "speculative"),
        ({"engine": "nobodys"}, "engine"),
        ({"lora": [{"model": "tone", "strength": 1}]}, "lora.0.strength"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"system_prompt": ""}, "system_prompt"),
        ({"chat_template_kwargs": {"x": "y" * 20_000}}, "chat_template_kwargs"),
        ({"dry_run": "yes"}, "dry_run"),
        ({"idle_unload_seconds": -1}, "idle_unload_seconds"),
    ],
)
def test_what_is_invalid_or_impossible_is_named(service: Service, body: dict[str, Any], field: str) -> None:
    post(service, {"seed": 7})
    error = post(service, {"seed": 8, **body}, status=400)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["details"].startswith(f"{field}: ")
    assert service.get(PRESET).json()["saved"] == {"seed": 7}


def test_an_unknown_model_is_named(service: Service) -> None:
    for answer in (service.get("/models/nobody/preset"), service.post("/models/nobody/preset", {"seed": 1})):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_model_that_is_not_downloaded_has_a_preset_too(service: Service) -> None:
    path = "/models/Qwen2.5-0.5B-Instruct-Q8_0-GGUF/preset"
    assert service.post(path, {"temperature": 0.5}).json()["saved"] == {"temperature": 0.5}
    error = service.post(path, {"context_size": 1_000_000}).json()["error"]
    assert error["details"].startswith("context_size: the model supports at most 32768 tokens of context.")


def test_a_preset_survives_a_restart_and_the_model_s_deletion(home: Path) -> None:
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER) as service:
        post(service, {"seed": 7})
        service.http.delete(f"/models/{CHAT_MODEL}")
        assert service.get(PRESET).json()["saved"] == {"seed": 7}
    with running(home, worker=FAKE_WORKER) as service:
        assert service.get(PRESET).json()["saved"] == {"seed": 7}


def test_a_model_named_preset_can_be_shown_and_deleted(service: Service, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "model.gguf")
    service.post("/models/import", {"path": str(file), "name": "preset"})
    assert service.get("/models/local/preset").json()["simple_name"] == "preset"
    assert service.get("/models/preset/preset").json()["model"] == "preset"
    assert service.http.delete("/models/local/preset").json()["message"] == "Model deleted successfully"


def test_values_of_the_file_are_shown_as_the_model_s(home: Path, tmp_path: Path) -> None:
    from tests.fakes.gguf_corpus import F32, Typed, tiny_keys

    keys = {**tiny_keys(), "general.sampling.temp": Typed(F32, 0.6), "general.sampling.top_k": 20}
    file = write_gguf(tmp_path / "model.gguf", keys)
    with running(home, worker=FAKE_WORKER) as service:
        service.post("/models/import", {"path": str(file), "name": "tuned"})
        shown = service.get("/models/tuned/preset").json()
        assert (shown["effective"]["temperature"], shown["sources"]["temperature"]) == (0.6, "model")
        assert (shown["effective"]["top_k"], shown["sources"]["top_k"]) == (20, "model")
        changed = service.post("/models/tuned/preset", {"temperature": 1}).json()
        assert (changed["effective"]["temperature"], changed["sources"]["temperature"]) == (1, "preset")
