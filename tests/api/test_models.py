"""Beyond the publication: load and unload, verify and repair, import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fakes.gguf_corpus import tiny_keys, write_gguf, write_split
from tests.running import (
    BASE_MODEL,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    Service,
    running,
    store_tiny_model,
)


def _loaded(service: Service) -> set[str]:
    return {model["simple_name"] for model in service.get("/models/loaded").json()["models"]}


def test_load_starts_a_stopped_server_and_loads_beside_a_running_one(service: Service) -> None:
    answer = service.post(f"/models/{CHAT_MODEL}/load").json()
    assert (answer["success"], answer["loaded_model_id"]) == (True, CHAT_MODEL_ID)
    assert service.status()["current_model"] == CHAT_MODEL
    assert service.post(f"/models/{BASE_MODEL}/load").status_code == 200
    assert _loaded(service) == {CHAT_MODEL, BASE_MODEL}
    assert service.status()["current_model"] == CHAT_MODEL
    answer = service.post(f"/models/{BASE_MODEL}/unload").json()
    assert answer["message"] == "Model unloaded successfully"
    assert _loaded(service) == {CHAT_MODEL}
    assert service.post(f"/models/{BASE_MODEL}/unload").json()["message"] == "Model is not loaded"


def test_load_never_downloads(service: Service) -> None:
    answer = service.post("/models/Qwen2.5-0.5B-Instruct-Q8_0-GGUF/load")
    assert (answer.status_code, answer.json()["error"]["code"]) == (412, "model_not_downloaded")


def test_details_tell_of_a_split_model_as_a_whole(home: Path, tmp_path: Path) -> None:
    first, *_ = write_split(tmp_path, "My-Model-Q4_0", 3)
    with running(home, worker=FAKE_WORKER) as service:
        name = service.post("/models/import", {"path": str(first), "mode": "link"}).json()["model_name"]
        facts = service.get(f"/models/{name}").json()["gguf"]
    assert (facts["tensor_count"], facts["parameter_count"]) == (3, 3 * 64 * 64)
    assert (facts["block_count"], facts["head_count"], facts["head_count_kv"]) == (2, 4, 2)


def test_details_say_that_a_model_fits_when_it_would_be_loaded(home: Path) -> None:
    store_tiny_model(home)
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER) as service:

        def memory_of(model: str) -> dict[str, Any]:
            return dict(service.get(f"/models/{model}").json()["memory"])

        assert memory_of(CHAT_MODEL)["fits_now"] is True
        for reserve, fits in ((1_048_576, False), (0, True)):
            assert service.post("/config", {"memory_reserve_mb": reserve}).status_code == 200
            assert memory_of(CHAT_MODEL)["fits_now"] is fits
        needed_mb = memory_of(CHAT_MODEL)["total_bytes"] // 1024**2
        # Room for one of them, and not for two; a worker may really take more than its estimate.
        service.post("/config", {"memory_budget_mb": needed_mb + 1})
        assert memory_of(CHAT_MODEL)["fits_now"] is True
        service.start(CHAT_MODEL)
        assert memory_of(CHAT_MODEL)["fits_now"] is True
        assert memory_of(BASE_MODEL)["fits_now"] is False
        refused = service.post(f"/models/{BASE_MODEL}/load")
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "insufficient_memory")
        service.post("/stop")
        service.post("/config", {"memory_budget_mb": needed_mb // 2})
        assert memory_of(BASE_MODEL)["fits_now"] is False
        refused = service.post("/start", {"model_name": BASE_MODEL})
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "insufficient_memory")


def test_verify_names_what_is_wrong(home: Path) -> None:
    path = store_tiny_model(home)
    with running(home, worker=FAKE_WORKER) as service:
        sound = service.post(f"/models/{CHAT_MODEL}/verify").json()
        assert (sound["is_sound"], sound["files"][0]["problem"]) == (True, None)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        damaged = service.post(f"/models/{CHAT_MODEL}/verify").json()
        assert damaged["is_sound"] is False
        assert damaged["can_repair"] is True
        assert path.name in damaged["files"][0]["problem"]
        assert "repair" in damaged["message"]
        assert service.get("/models/downloaded").json()["total_count"] == 0


def test_a_file_is_imported_listed_started_and_deleted_without_touching_the_original(
    home: Path, tmp_path: Path
) -> None:
    original = tmp_path / "My-Model-Q4_K_M.gguf"
    write_gguf(original)
    content = original.read_bytes()
    with running(home, worker=FAKE_WORKER) as service:
        for mode in ("copy", "link"):
            answer = service.post("/models/import", {"path": str(original), "mode": mode})
            assert answer.status_code == 200, answer.text
            name = answer.json()["model_name"]
            listed = service.get("/models/downloaded").json()["models"]
            assert [model["simple_name"] for model in listed] == [name]
            assert service.start(name)["model"] == name
            service.post("/stop")
            assert service.http.delete(f"/models/{name}").status_code == 200
            assert original.read_bytes() == content
            assert service.get("/models/downloaded").json()["total_count"] == 0


def test_models_of_other_programs_are_offered_and_linked_without_a_copy(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "deep"
    folder.mkdir(parents=True)
    write_gguf(folder / "Found-Q8_0.gguf")
    write_gguf(folder / "mmproj-F16.gguf", tiny_keys(general__architecture="clip"))
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MODEL_FOLDERS=str(tmp_path / "mine")) as service:
        found = service.get("/models/importable").json()["models"]
        (one,) = (model for model in found if model["store"] == "folder")
        assert (one["name"], one["quantization"]) == ("Found-Q8_0", "Q8_0")
        body = {name: one[name] for name in ("path", "projector_path")}
        answer = service.post("/models/import", {**body, "mode": "link", "name": "mine"})
        assert answer.status_code == 200, answer.text
        assert "vision" in service.get("/models/mine").json()["capabilities"]
        assert service.start("mine")["model"] == "mine"
        service.post("/stop")
        assert service.http.delete("/models/mine").json()["freed_space_bytes"] == 0
        assert (folder / "Found-Q8_0.gguf").exists()


def test_an_import_says_what_it_needs(service: Service, tmp_path: Path) -> None:
    for body in ({}, {"path": "/x", "repo": "a/b"}, {"path": str(tmp_path / "no.gguf")}, {"mode": "steal"}):
        answer = service.post("/models/import", body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["details"]


def test_a_moved_model_that_is_damaged_is_not_repaired_away(home: Path, tmp_path: Path) -> None:
    write_gguf(tmp_path / "mine.gguf")
    with running(home, worker=FAKE_WORKER) as service:
        body = {"path": str(tmp_path / "mine.gguf"), "mode": "move"}
        assert service.post("/models/import", body).status_code == 200
        (path,) = (home / "cache" / "models").rglob("mine.gguf")
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        answer = service.post("/models/mine/verify", {"repair": True})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
        assert path.read_bytes() == data
        assert service.post("/models/mine/verify").json()["can_repair"] is False
        assert service.http.delete("/models/mine").json()["freed_space_bytes"] == len(data)


def test_what_is_left_of_a_download_is_deleted_and_counted(home: Path) -> None:
    left = home / "cache" / "partial" / "HuggingFaceTB" / CHAT_MODEL / "tiny.gguf.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(1000))
    with running(home, worker=FAKE_WORKER) as service:
        answer = service.http.delete(f"/models/{CHAT_MODEL}")
        assert (answer.status_code, answer.json()["freed_space_bytes"]) == (200, 1000)
        assert not left.exists()
        assert service.http.delete(f"/models/{CHAT_MODEL}").status_code == 404


def test_a_model_named_like_a_route_is_shown_and_deleted(home: Path, tmp_path: Path) -> None:
    with running(home, worker=FAKE_WORKER) as service:
        for name in ("downloaded", "search", "import", "unload-all", "verify"):
            path = write_gguf(tmp_path / f"{name}.gguf")
            answer = service.post("/models/import", {"path": str(path)})
            assert answer.status_code == 200, answer.text
            assert service.get(f"/models/local/{name}").json()["simple_name"] == name
            assert service.post(f"/models/{name}/verify").json()["is_sound"]
            assert service.http.delete(f"/models/{name}").status_code == 200
            # Without such a model the path is the other route's alone.
            expected = 404 if name == "verify" else 405
            assert service.http.delete(f"/models/{name}").status_code == expected
