"""What the contract adds to the publication: events, OpenAPI, /docs, metrics, HEAD."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import chromium
from tests.contract import scripts
from tests.running import BASE_PATH, CHAT_MODEL, CHAT_MODEL_ID, Service

requirement = pytest.mark.requirement


def changes(service: Service, lines: Iterator[str], kind: str) -> Iterator[Any]:
    """The data of each event of that kind."""
    for line in lines:
        if line.startswith("data: "):
            event = json.loads(line[6:])
            assert list(event) == ["type", "data"]
            if event["type"] == kind:
                yield event["data"]


@requirement("10.events", "6.headers")
def test_events_tell_all_there_is_and_then_each_change(api: Service) -> None:
    with api.http.stream("GET", "/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        first = [json.loads(line[6:])["type"] for line, _ in zip(lines, range(15), strict=False) if line]
        assert set(first) == {
            "state",
            "downloads",
            "ended_downloads",
            "loaded",
            "activity",
            "downloaded",
            "machine",
            "requests",
        }
        api.start()
        states = changes(api, lines, "state")
        assert next(states)["status"] == "starting"
        running = next(state for state in states if state["is_healthy"])
        assert (running["status"], running["current_model"]) == ("running", CHAT_MODEL)
        assert next(changes(api, lines, "loaded")) == [CHAT_MODEL_ID]
        api.post("/stop")
        api.http.delete(f"/models/{CHAT_MODEL}")
        assert CHAT_MODEL_ID not in next(changes(api, lines, "downloaded"))


PUBLISHED = [
    ("post", "/start"),
    ("post", "/start-stream"),
    ("post", "/stop"),
    ("get", "/status"),
    ("post", "/switch-model"),
    ("get", "/models"),
    ("get", "/models/downloaded"),
    ("get", "/models/loaded"),
    ("post", "/models/unload-all"),
    ("post", "/models/{model_name}/download"),
    ("post", "/models/{model_name}/download-stream"),
    ("delete", "/models/{model_name}"),
    ("get", "/info"),
    ("post", "/config"),
    ("get", "/logs"),
    ("get", "/logs/stream"),
    ("get", "/health"),
]

STATUSES_OF_START = ("200", "400", "401", "403", "404", "408", "409", "412", "413", "500", "503", "507")


@requirement("10.openapi")
def test_openapi(api: Service) -> None:
    document = api.get("/openapi.json").json()
    assert api.http.get(f"{api.root}/openapi.json").json() == document
    paths = document["paths"]
    for method, path in PUBLISHED:
        operation = paths[BASE_PATH + path][method]
        assert {"401", "403", "500"} <= operation["responses"].keys()
        assert "422" not in operation["responses"] and "default" not in operation["responses"]
        kind = "text/event-stream" if path.endswith(("-stream", "/stream")) else "application/json"
        assert list(operation["responses"]["200"]["content"]) == [kind]
    assert paths["/v1/models"]["get"]["operationId"]
    start = paths[f"{BASE_PATH}/start"]["post"]
    assert set(start["responses"]) == set(STATUSES_OF_START)
    conflicts = start["responses"]["409"]["content"]["application/json"]["examples"]
    assert set(conflicts) == {
        "server_already_running",
        "operation_in_progress",
        "operation_cancelled",
        "port_in_use",
        "model_in_use",
    }


_SMALL = {
    "model_id": "Qwen/Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "simple_name": "Qwen2.5-0.5B-Instruct-Q8_0-GGUF",
    "size": "0.5B",
    "quantization": "Q8_0",
    "is_downloaded": True,
    "is_loaded": False,
    "file_size_bytes": 524288000,
    "file_size_formatted": "500.0 MB",
}
# Of the published answers, what tells that the whole example is there.
EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/start"): {"port": 1234, "api_key": "fl-YourApiKey123"},
    ("post", "/stop"): {"success": True, "message": "Server stopped successfully"},
    ("post", "/switch-model"): {"success": True, "endpoint": "http://127.0.0.1:1234/v1"},
    ("get", "/status"): {"is_running": False, "status": "stopped", "port": None},
    ("get", "/models"): {"total_count": 2},
    ("get", "/models/downloaded"): {"models": [_SMALL | {"download_date": "2025-01-15T14:30:00Z"}]},
    ("get", "/models/loaded"): {"total_count": 1},
    ("post", "/models/unload-all"): {"success": True, "message": "All models unloaded successfully"},
    ("post", "/models/{model_name}/download"): {"download_time_seconds": 125},
    ("delete", "/models/{model_name}"): {"freed_space_formatted": "2.0 GB"},
    ("get", "/info"): {"foundry_local_version": "0.5.0"},
    ("post", "/config"): {"cachedir": "D:\\AI\\Models", "default_log_level": "DEBUG", "port": 1235},
    ("get", "/health"): {"status": "healthy", "service": "foundry-local-api"},
}
STREAMED = {
    "/start-stream": '"endpoint":"http://127.0.0.1:1234/v1"',
    "/models/{model_name}/download-stream": '"model_name":"Qwen2.5-3B-Instruct-Q4_K_M-GGUF"}',
}


@requirement("10.openapi")
def test_openapi_has_the_published_examples(api: Service) -> None:
    document = api.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for (method, path), told in EXAMPLES.items():
        content = document["paths"][BASE_PATH + path][method]["responses"]["200"]["content"]
        name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert any(example | told == example for example in schemas[name]["examples"]), (method, path)
    for path, told in STREAMED.items():
        content = document["paths"][BASE_PATH + path]["post"]["responses"]["200"]["content"]
        assert told in content["text/event-stream"]["example"]
    assert len(schemas["StatusAnswer"]["examples"]) == len(schemas["HealthAnswer"]["examples"]) == 2


@requirement("10.openapi")
def test_openapi_refers_only_to_what_it_has(api: Service) -> None:
    document = api.get("/openapi.json").json()

    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            for name, value in part.items():
                if name == "$ref":
                    yield value
                else:
                    yield from references(value)
        elif isinstance(part, list):
            for value in part:
                yield from references(value)

    for reference in references(document):
        found: Any = document
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))
    example = document["components"]["schemas"]["StartAnswer"]["examples"][0]
    assert list(example)[:4] == ["success", "message", "port", "model"]


@requirement("10.docs")
def test_the_page_of_docs_needs_nothing_from_elsewhere(api: Service) -> None:
    for url in (f"{api.root}/docs", f"{api.base}/docs"):
        page = api.http.get(url)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "'unsafe" not in policy
        for name in ("docs/docs.js", "docs/docs.css", "tokens.css"):
            text = api.http.get(url.replace("/docs", f"/ui/{name}")).raise_for_status().text
            assert "http://" not in text + page.text and "https://" not in text and "//cdn" not in text


@requirement("10.docs")
@pytest.mark.parametrize("where", ["root", "base"])
def test_the_page_of_docs_shows_every_endpoint_in_a_browser(api: Service, tmp_path: Path, where: str) -> None:
    shown = chromium.dump(f"{getattr(api, where)}/docs", tmp_path)
    document = api.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert f'<article id="{operation["operationId"]}">' in shown
        assert path in shown


@requirement("10.head")
def test_head(api: Service) -> None:
    for path in ("/status", "/health", "/models", "/info", "/docs", f"/models/{CHAT_MODEL}"):
        head, get = api.http.head(path), api.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
    assert api.http.head("/nowhere").status_code == 404


@requirement("10.metrics")
def test_metrics(running_api: Service) -> None:
    answer = running_api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    names = {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE ")}
    assert any(name.startswith("foundrylocal_") for name in names)
    assert not any(name.endswith("_created") for name in names)
    with running_api.gateway() as client:
        assert client.get("/v1/models", headers={"Authorization": "Bearer fl-wrong"}).status_code == 401
    assert 'outcome="invalid_api_key"' in running_api.get("/metrics").text


@requirement("1.localhost")
def test_the_scripts_of_the_suite_name_no_address_of_their_own() -> None:
    texts = [value for name, value in vars(scripts).items() if name.isupper()]
    assert len(texts) > 20
    for text in texts:
        local = scripts.localize(text, port=1, gateway_port=2, key="k", cache_dir="/c")
        assert "9500" not in local and ":1234" not in local and "Qwen" not in local
