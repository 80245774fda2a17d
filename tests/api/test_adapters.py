"""A LoRA adapter is a model of its own kind: imported, listed, never started, and loaded with its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fakes.gguf_corpus import write_adapter, write_gguf
from tests.running import BASE_MODEL, CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model


def import_adapter(service: Service, folder: Path, name: str = "tone", architecture: str = "llama") -> None:
    file = write_adapter(folder / f"{name}.gguf", architecture)
    answer = service.post("/models/import", {"path": str(file), "name": name})
    assert answer.status_code == 200, answer.text


def error_of(answer: Any, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return dict(answer.json()["error"])


def test_an_adapter_is_listed_as_one_and_offered_to_nobody_as_a_model(
    service: Service, tmp_path: Path
) -> None:
    import_adapter(service, tmp_path)
    kinds = {one["simple_name"]: one["kind"] for one in service.get("/models/downloaded").json()["models"]}
    assert (kinds["tone"], kinds[CHAT_MODEL]) == ("adapter", "model")
    details = service.get("/models/tone").json()
    assert (details["kind"], details["gguf"]["architecture"], details["memory"]) == ("adapter", "llama", None)
    service.start()
    with service.gateway() as gateway:
        offered = [one["id"] for one in gateway.get("/v1/models").json()["data"]]
    assert "local/tone" not in offered and offered
    root = str(service.http.base_url).partition("/iblink")[0]
    listed = [one["id"] for one in service.http.get(f"{root}/v1/models").json()["data"]]
    assert listed == offered


def test_an_adapter_cannot_be_started(service: Service, tmp_path: Path) -> None:
    import_adapter(service, tmp_path)
    for path, body in (
        ("/start", {"model_name": "tone"}),
        ("/models/tone/load", {}),
        ("/models/tone/preset", {"seed": 1}),
    ):
        error = error_of(service.post(path, body))
        assert error["message"] == "'tone' is a LoRA adapter, not a model"
        assert 'lora: [{"model": "tone"}]' in error["details"]
    assert service.status()["status"] == "stopped"
    service.start()
    asked = {"model": "tone", "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(2):  # and no pause follows: nothing has failed
        with service.gateway() as gateway:
            answer = gateway.post("/v1/chat/completions", json=asked)
        assert "is a LoRA adapter" in error_of(answer)["message"]


def test_a_preset_loads_its_adapters_and_memory_counts_them(service: Service, tmp_path: Path) -> None:
    import_adapter(service, tmp_path)
    before = service.get(f"/models/{CHAT_MODEL}").json()["memory"]["weights_bytes"]
    saved = service.post(f"/models/{CHAT_MODEL}/preset", {"lora": [{"model": "tone", "scale": 0.5}]}).json()
    assert saved["effective"]["lora"] == [{"model": "tone", "scale": 0.5}]
    size = service.get("/models/tone").json()["file_size_bytes"]
    assert service.get(f"/models/{CHAT_MODEL}").json()["memory"]["weights_bytes"] == before + size
    service.start()
    assert service.status()["options"]["effective"]["lora"] == [{"model": "tone", "scale": 0.5}]


def test_an_adapter_that_does_not_fit_is_refused_by_name(service: Service, tmp_path: Path) -> None:
    import_adapter(service, tmp_path, "other", architecture="gemma3")
    for name, reason in (
        ("other", "It was made for the architecture 'gemma3', and this model is 'llama'."),
        ("nobody", "There is no adapter of that name."),
        (BASE_MODEL, "It is a model, not an adapter."),
    ):
        lora = [{"model": name}]
        for path, body in (
            (f"/models/{CHAT_MODEL}/preset", {"lora": lora}),
            ("/start", {"model_name": CHAT_MODEL, "options": {"lora": lora}}),
        ):
            error = error_of(service.post(path, body))
            assert error["details"].startswith(f"lora: {reason}")
            assert error["param"] == "lora"
    assert service.status()["status"] == "stopped"


def test_the_preset_of_an_imported_model_goes_with_it(home: Path, tmp_path: Path) -> None:
    store_tiny_model(home)
    file = write_gguf(tmp_path / "mine.gguf")
    with running(home, worker=FAKE_WORKER) as service:
        body = {"path": str(file), "name": "mine"}
        service.post("/models/import", body)
        service.post("/models/mine/preset", {"seed": 7})
        service.http.delete("/models/mine")
        service.post("/models/import", body)
        assert service.get("/models/mine/preset").json()["saved"] == {}
