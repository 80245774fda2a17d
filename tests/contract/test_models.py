"""Lists of models, downloads, deletion, details, and the OpenAI list."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.contract.shape import assert_like
from tests.running import (
    BASE_MODEL_ID,
    CHAT_MODEL,
    CHAT_MODEL_ID,
    FAKE_WORKER,
    Service,
    running,
    store_tiny_model,
)

requirement = pytest.mark.requirement

ENTRY = {
    "model_id": "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "simple_name": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "size": "0.5B",
    "quantization": "Q8_0",
    "is_downloaded": True,
    "is_loaded": False,
    "file_size_bytes": 524288000,
    "file_size_formatted": "500.0 MB",
}
NOT_DOWNLOADED = "Qwen2.5-3B-Instruct-Q4_K_M-GGUF"


@requirement("models.list", "4.numbers")
def test_all_models(api: Service) -> None:
    answer = api.get("/models").json()
    assert_like(answer, {"models": [ENTRY], "total_count": 2})
    assert answer["total_count"] == len(answer["models"]) >= 10
    by_name = {model["simple_name"]: model for model in answer["models"]}
    published = by_name[NOT_DOWNLOADED]
    assert (published["model_id"], published["size"], published["quantization"]) == (
        f"Qwen/{NOT_DOWNLOADED}",
        "3B",
        "Q4_K_M",
    )
    assert (published["is_downloaded"], published["is_loaded"]) == (False, False)
    assert published["file_size_formatted"] == "2.0 GB"
    assert by_name[CHAT_MODEL]["is_downloaded"] is True
    assert by_name[CHAT_MODEL]["file_size_formatted"].endswith(" KB")


@requirement("models.downloaded")
def test_downloaded_models(api: Service) -> None:
    answer = api.get("/models/downloaded").json()
    assert_like(answer, {"models": [ENTRY | {"download_date": "2025-01-15T14:30:00Z"}], "total_count": 1})
    assert {model["model_id"] for model in answer["models"]} == {CHAT_MODEL_ID, BASE_MODEL_ID}
    assert answer["total_count"] == 2
    assert all(model["is_downloaded"] for model in answer["models"])


@requirement("models.loaded")
def test_loaded_models(api: Service) -> None:
    assert api.get("/models/loaded").json() == {"models": [], "total_count": 0}
    api.start()
    answer = api.get("/models/loaded").json()
    fields = {name: ENTRY[name] for name in list(ENTRY)[:6]} | {"loaded_at": "2025-01-20T10:30:00Z"}
    assert_like(answer, {"models": [fields], "total_count": 1})
    [model] = answer["models"]
    assert (model["model_id"], model["is_downloaded"], model["is_loaded"]) == (CHAT_MODEL_ID, True, True)
    assert api.get(f"/models/{CHAT_MODEL}").json()["is_loaded"] is True


@requirement("download.answer")
def test_download_of_a_model_that_is_there(api: Service) -> None:
    answer = api.post(f"/models/{CHAT_MODEL}/download").json()
    assert_like(
        answer,
        {
            "success": True,
            "message": "Model downloaded successfully",
            "model_name": NOT_DOWNLOADED,
            "actual_model_id": f"Qwen/{NOT_DOWNLOADED}",
            "file_size_bytes": 2147483648,
            "download_time_seconds": 125,
        },
    )
    assert answer["message"] == "Model downloaded successfully"
    assert (answer["model_name"], answer["actual_model_id"]) == (CHAT_MODEL, CHAT_MODEL_ID)


@requirement("download-stream.messages", "6.one-end")
def test_streamed_download_of_a_model_that_is_there(api: Service) -> None:
    events = api.events(f"/models/{CHAT_MODEL}/download-stream")
    assert events[0] == {"type": "progress", "message": f"Starting download: {CHAT_MODEL}"}
    assert events[-1]["type"] == "success"
    assert events[-1]["message"] == "Download completed successfully"
    assert_like(events[-1]["data"], {"success": True, "model_name": NOT_DOWNLOADED})
    assert [event["type"] for event in events[:-1]] == ["progress"] * (len(events) - 1)


@requirement("3.names")
@pytest.mark.parametrize(
    "name",
    [
        CHAT_MODEL,
        CHAT_MODEL_ID,
        quote(CHAT_MODEL_ID, safe=""),
        CHAT_MODEL_ID.upper(),
        CHAT_MODEL_ID.replace("/", "%2f"),
    ],
)
def test_any_form_of_a_name_in_a_path(api: Service, name: str) -> None:
    assert api.get(f"/models/{name}").json()["model_id"] == CHAT_MODEL_ID
    assert api.post(f"/models/{name}/download").json()["model_name"] == CHAT_MODEL
    assert api.http.delete(f"/models/{name}").json()["model_name"] == CHAT_MODEL


@requirement("delete.answer", "4.numbers")
def test_delete(api: Service) -> None:
    size = api.get(f"/models/{CHAT_MODEL}").json()["file_size_bytes"]
    answer = api.http.delete(f"/models/{CHAT_MODEL}").json()
    assert answer == {
        "success": True,
        "message": "Model deleted successfully",
        "model_name": CHAT_MODEL,
        "freed_space_bytes": size,
        "freed_space_formatted": f"{size / 1024:.1f} KB",
    }
    assert list(answer) == ["success", "message", "model_name", "freed_space_bytes", "freed_space_formatted"]
    assert api.get(f"/models/{CHAT_MODEL}").json()["is_downloaded"] is False


@requirement("delete.answer")
def test_delete_of_what_is_loaded_or_not_there(running_api: Service) -> None:
    answer = running_api.http.delete(f"/models/{CHAT_MODEL}")
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (409, "conflict_error", "model_in_use")
    answer = running_api.http.delete(f"/models/{NOT_DOWNLOADED}")
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (
        404,
        "not_found_error",
        "model_not_downloaded",
    )


@requirement("openai-models.answer")
def test_openai_models(api: Service) -> None:
    answer = api.http.get(f"{api.root}/v1/models").json()
    model = {"id": CHAT_MODEL_ID, "object": "model", "created": 1705743600, "owned_by": "foundry-local"}
    assert_like(answer, {"object": "list", "data": [model]})
    assert answer["object"] == "list"
    assert {one["id"] for one in answer["data"]} == {CHAT_MODEL_ID, BASE_MODEL_ID}
    assert all((one["object"], one["owned_by"]) == ("model", "foundry-local") for one in answer["data"])


@requirement("10.details")
def test_details_of_a_model_on_disk(api: Service) -> None:
    model = api.get(f"/models/{CHAT_MODEL}").json()
    assert model["gguf"]["architecture"] == "llama"
    assert model["memory"]["total_bytes"] == sum(
        model["memory"][name] for name in ("weights_bytes", "kv_cache_bytes", "compute_bytes")
    )
    assert model["memory"]["fits_now"] is True
    assert model["problem"] is None
    (file,) = model["files"]
    path = store_tiny_model(api.home, CHAT_MODEL)
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest() and "/" not in file["name"]
    assert model["source"].startswith("PyPI: ")


@requirement("10.details")
def test_details_of_a_model_that_is_not_on_disk(api: Service) -> None:
    model = api.get(f"/models/Qwen/{NOT_DOWNLOADED}").json()
    assert_like(model, {**ENTRY, "is_downloaded": False})
    assert (model["gguf"], model["is_downloading"]) == (None, False)
    memory = model["memory"]
    assert (
        memory["is_lower_bound"] is False and memory["kv_cache_bytes"] > 0
    )  # by its dimensions in the catalog
    assert [len(file["sha256"]) for file in model["files"]] == [64]
    assert model["source"].startswith("https://huggingface.co/")
    assert memory["total_bytes"] > memory["weights_bytes"] == model["file_size_bytes"]


@requirement("10.details")
def test_details_tell_of_damage(api: Service) -> None:
    path = store_tiny_model(api.home, CHAT_MODEL)
    os.truncate(path, 100)
    model = api.get(f"/models/{CHAT_MODEL}").json()
    assert model["gguf"] is None and model["problem"]
    assert str(api.home) not in json.dumps(model)
    assert api.http.delete(f"/models/{CHAT_MODEL}").status_code == 200


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose package index and hub are closed ports, and whose engine never runs."""
    home: Path = tmp_path_factory.mktemp("offline") / "home"
    closed = "http://127.0.0.1:9"
    with running(
        home,
        worker=FAKE_WORKER,
        PIP_INDEX_URL=f"{closed}/simple",
        PIP_RETRIES="0",
        PIP_NO_CACHE_DIR="1",
        HF_ENDPOINT=closed,
    ) as service:
        yield service


DOWNLOAD_FAILED = "Network connection error or model not available"


@requirement("error.download_failed", "6.one-end")
def test_a_download_that_fails(offline: Service) -> None:
    path = f"/models/{CHAT_MODEL}/download"
    with ThreadPoolExecutor() as callers:  # all three share the one download and its retries
        plain = callers.submit(httpx.post, offline.base + path, timeout=60)
        streamed = callers.submit(offline.events, f"{path}-stream")
        started = callers.submit(offline.events, "/start-stream", {"model_name": CHAT_MODEL})
        answer, events, start = plain.result(), streamed.result(), started.result()
    error = answer.json()["error"]
    assert (answer.status_code, error["message"]) == (500, "Failed to download model")
    assert (error["type"], error["code"]) == ("download_error", "download_failed")
    assert error["details"] == DOWNLOAD_FAILED
    assert error["reason"]
    assert list(error) == ["message", "type", "code", "details", "reason"]
    assert events[0]["message"] == f"Starting download: {CHAT_MODEL}"
    assert [event["type"] for event in events if event["type"] != "progress"] == ["error"]
    assert events[-1]["message"] == "Failed to download model"
    assert events[-1]["error"] == error
    lines = [event["message"] for event in start]
    assert lines[:2] == ["Checking if model is downloaded...", "Model not found locally, downloading..."]
    assert f"Starting download: {CHAT_MODEL}" in lines
    assert (start[-1]["type"], start[-1]["error"]["code"]) == ("error", "download_failed")
    assert offline.status()["status"] == "stopped"


@requirement("error.model_not_downloaded", "6.before-first-byte")
def test_a_start_that_may_not_download(offline: Service) -> None:
    body = {"model_name": CHAT_MODEL, "options": {"auto_download": False}}
    for path in ("/start", "/start-stream", "/switch-model"):
        answer = offline.post(path, body)
        assert answer.status_code == 412
        assert answer.json() == {
            "error": {
                "message": "Model must be downloaded before starting server",
                "type": "precondition_failed",
                "code": "model_not_downloaded",
                "details": "Use auto_download option or download manually first",
            }
        }


@requirement("10.downloads")
def test_downloads_that_do_not_run(api: Service) -> None:
    before = api.get("/downloads").json()
    assert before == {"downloads": [], "total_count": 0, "ended": before["ended"]}
    for verb, message in (("pause", "Download is not running"), ("resume", "Download is not paused")):
        answer = api.post(f"/downloads/{CHAT_MODEL_ID}/{verb}")
        assert answer.json() == {"success": True, "message": message, "model_name": CHAT_MODEL}
    answer = api.http.delete(f"/downloads/{CHAT_MODEL_ID}")
    assert answer.json() == {"success": True, "message": "Download is not running", "model_name": CHAT_MODEL}
    assert api.http.delete("/downloads/nope").json()["error"]["code"] == "model_not_found"
    assert api.get("/downloads").json() == before
