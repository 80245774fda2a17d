"""Section 13: presets, as a user of the API meets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.shape import assert_like
from tests.contract.test_errors import assert_error
from tests.fakes.gguf_corpus import write_adapter
from tests.running import BASE_MODEL, CHAT_MODEL, Service

requirement = pytest.mark.requirement
PRESET = f"/models/{CHAT_MODEL}/preset"


@pytest.fixture(autouse=True)
def _without_presets(api: Service) -> Iterator[None]:
    yield
    for model in (CHAT_MODEL, BASE_MODEL):
        api.http.delete(f"/models/{model}/preset")


def post(api: Service, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(PRESET, body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@requirement("13.merge", "13.applies", "13.sources")
def test_a_preset_is_merged_and_removed(api: Service) -> None:
    first = post(api, {"context_size": 1024, "temperature": 0.5})
    assert_like(
        first, {"success": True, "message": "", "model": "", "saved": {}, "effective": {}, "sources": {}}
    )
    assert first["applies"] == {"context_size": "next_load", "temperature": "at_once"}
    second = post(api, {"temperature": None, "seed": 7})
    assert second["saved"] == {"context_size": 1024, "seed": 7}
    shown = api.get(PRESET).json()
    assert list(shown) == ["model", "saved", "effective", "sources"]
    assert {shown["sources"][name] for name in ("context_size", "seed")} == {"preset"}
    assert set(shown["sources"].values()) <= {"preset", "setting", "model", "auto"}
    assert api.http.delete(PRESET).json()["saved"] == {}


@requirement("13.impossible", "13.dry-run")
def test_what_is_impossible_is_named_and_a_dry_run_saves_nothing(api: Service) -> None:
    for body, field in (
        ({"surprise": 1}, "surprise"),
        ({"context_size": 1_000_000}, "context_size"),
        ({"engine": "nobodys"}, "engine"),
        ({"lora": [{"model": BASE_MODEL}]}, "lora"),
        ({"speculative": {"draft_model": "nobody"}}, "speculative"),
    ):
        error = assert_error(api.post(PRESET, body), 400, "invalid_request_error", "invalid_request")
        assert error["details"].startswith(f"{field}: ")
    assert post(api, {"context_size": 1024, "dry_run": True})["effective"]["context_size"] == 1024
    assert api.get(PRESET).json()["saved"] == {}


@requirement("13.order", "13.asked", "13.strict")
def test_options_go_before_the_preset_and_that_before_the_setting(api: Service) -> None:
    api.post("/config", {"parallel": 2, "context_size": 512})
    post(api, {"parallel": 3, "gpu_layers": 5})
    refused = api.post("/start", {"model_name": CHAT_MODEL, "options": {"strict": True}})
    error = assert_error(refused, 400, "invalid_request_error", "option_not_honored")
    assert error["details"].startswith("options.gpu_layers: ")
    api.start(options={"parallel": 4})
    options = api.status()["options"]
    assert [options["effective"][name] for name in ("parallel", "context_size")] == [4, 512]
    assert [options["sources"][name] for name in ("parallel", "context_size")] == ["request", "setting"]
    assert options["asked"]["gpu_layers"] == 5 and "GPU" in options["reasons"]["gpu_layers"]
    assert api.get(f"/models/{CHAT_MODEL}").json()["options"] == options
    api.post("/stop")
    api.start()
    options = api.status()["options"]
    assert (options["effective"]["parallel"], options["sources"]["parallel"]) == (3, "preset")


@requirement("13.pinned")
def test_a_pinned_model_stays(api: Service) -> None:
    api.start()
    api.post(f"/models/{BASE_MODEL}/load")
    api.post(f"/models/{BASE_MODEL}/preset", {"pinned": True})
    loaded = {one["simple_name"] for one in api.get("/models/loaded").json()["models"]}
    assert loaded == {CHAT_MODEL, BASE_MODEL}
    assert api.post("/switch-model", {"model_name": BASE_MODEL}).status_code == 200
    assert api.post("/switch-model", {"model_name": CHAT_MODEL}).status_code == 200
    assert BASE_MODEL in {one["simple_name"] for one in api.get("/models/loaded").json()["models"]}


@requirement("13.lora")
def test_an_adapter_is_a_model_of_its_own_kind(api: Service, tmp_path: Path) -> None:
    file = write_adapter(tmp_path / "tone.gguf")
    assert api.post("/models/import", {"path": str(file), "name": "tone"}).status_code == 200
    try:
        assert api.get("/models/tone").json()["kind"] == "adapter"
        error = assert_error(
            api.post("/start", {"model_name": "tone"}), 400, "invalid_request_error", "invalid_request"
        )
        assert "lora" in error["details"]
        api.start(options={"lora": [{"model": "tone", "scale": 0.5}]})
        assert api.status()["options"]["effective"]["lora"] == [{"model": "tone", "scale": 0.5}]
        api.post("/stop")
    finally:
        api.http.delete("/models/tone")
