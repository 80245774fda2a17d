"""Every error in the one shape, and the published ones word for word."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.running import BASE_MODEL, CHAT_MODEL, Service, store_tiny_model

requirement = pytest.mark.requirement


def assert_error(answer: httpx.Response, status: int, kind: str, code: str) -> dict[str, Any]:
    """The one shape, with these; returns the error object."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == ["error"]
    error: dict[str, Any] = body["error"]
    assert list(error)[:3] == ["message", "type", "code"]
    assert set(error) <= {"message", "type", "code", "details", "param"}
    assert all(
        isinstance(value, str) and value
        for name, value in error.items()
        if name != "param" or value is not None
    )
    assert (error["type"], error["code"]) == (kind, code)
    assert "Traceback" not in answer.text
    return error


MISSING = {
    "error": {
        "message": "Model name is required",
        "type": "invalid_request_error",
        "code": "missing_model_name",
    }
}


@requirement("error.missing_model_name", "error.shape", "statuses")
@pytest.mark.parametrize("path", ["/start", "/start-stream", "/switch-model"])
@pytest.mark.parametrize("body", ["{}", '{"model_name": ""}', '{"model_name": null}', ""])
def test_missing_model_name(api: Service, path: str, body: str) -> None:
    answer = api.http.post(path, content=body)
    assert (answer.status_code, answer.json()) == (400, MISSING)


@requirement("error.model_not_found", "3.nearest", "statuses")
def test_model_not_found(api: Service) -> None:
    for path in ("/start", "/start-stream", "/switch-model"):
        answer = api.post(path, {"model_name": "nonexistent-model"})
        error = assert_error(answer, 404, "not_found_error", "model_not_found")
        assert error["message"] == "Model 'nonexistent-model' not found in registry"
    for method, path in (
        ("POST", "/models/nonexistent-model/download"),
        ("POST", "/models/nonexistent-model/download-stream"),
        ("DELETE", "/models/nonexistent-model"),
        ("GET", "/models/nonexistent-model"),
    ):
        error = assert_error(api.http.request(method, path), 404, "not_found_error", "model_not_found")
        assert error["message"] == "Model 'nonexistent-model' not found in registry"
    error = api.post("/start", {"model_name": "Qwen2.5-0.5B-Instruct-Q8"}).json()["error"]
    assert "Qwen2.5-0.5B-Instruct-Q8_0-GGUF" in error["details"]


@requirement("error.server_already_running", "6.before-first-byte", "statuses")
def test_server_already_running(running_api: Service) -> None:
    for path in ("/start", "/start-stream"):
        answer = running_api.post(path, {"model_name": BASE_MODEL})
        assert answer.status_code == 409
        assert answer.json() == {
            "error": {
                "message": f"FoundryLocal server is already running with model '{CHAT_MODEL}'",
                "type": "conflict_error",
                "code": "server_already_running",
                "details": "Stop the current server first or use switch-model endpoint",
            }
        }


@requirement("error.server_start_timeout", "statuses", "6.one-end")
def test_server_start_timeout(api: Service) -> None:
    store_tiny_model(api.home, CHAT_MODEL, worker_flags="--never-ready")
    body = {"model_name": CHAT_MODEL, "options": {"timeout_seconds": 1}}
    answer = api.post("/start", body)
    events = api.events("/start-stream", body)
    store_tiny_model(api.home, CHAT_MODEL, worker_flags="")
    assert answer.status_code == 408
    error = {
        "message": "Server failed to start within timeout period",
        "type": "timeout_error",
        "code": "server_start_timeout",
        "details": "Timeout: 1 seconds. Try increasing timeout_seconds option.",
    }
    assert answer.json() == {"error": error}
    assert events[-1] == {"type": "error", "message": error["message"], "error": error}
    assert api.status()["status"] == "stopped"
    assert api.workers() == []


@requirement("5.shape", "error.shape", "statuses")
@pytest.mark.parametrize("path", ["/nowhere", "/models/", "/start/", "/v1/nowhere"])
def test_a_wrong_path(api: Service, path: str) -> None:
    for url in (api.base + path, api.root + path):
        assert_error(api.http.get(url), 404, "not_found_error", "endpoint_not_found")


@requirement("5.shape")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/start", "POST"),
        ("PUT", "/start", "POST"),
        ("DELETE", "/start-stream", "POST"),
        ("GET", "/stop", "POST"),
        ("POST", "/status", "GET, HEAD"),
        ("GET", "/switch-model", "POST"),
        ("POST", "/models", "GET, HEAD"),
        ("DELETE", "/models/downloaded", "GET, HEAD"),
        ("POST", "/models/loaded", "GET, HEAD"),
        ("GET", "/models/unload-all", "POST"),
        ("POST", f"/models/{CHAT_MODEL}", "DELETE, GET, HEAD"),
        ("GET", f"/models/{CHAT_MODEL}/download", "POST"),
        ("DELETE", f"/models/HuggingFaceTB/{CHAT_MODEL}/download-stream", "POST"),
        ("DELETE", f"/downloads/{CHAT_MODEL}/pause", "POST"),
        ("OPTIONS", f"/downloads/HuggingFaceTB/{CHAT_MODEL}/resume", "POST"),
        ("GET", f"/downloads/{CHAT_MODEL}", "DELETE"),
        ("POST", "/info", "GET, HEAD"),
        ("GET", "/config", "POST"),
        ("DELETE", "/logs", "GET, HEAD"),
        ("POST", "/logs/stream", "GET"),
        ("PATCH", "/health", "GET, HEAD"),
        ("OPTIONS", "/health", "GET, HEAD"),
        ("HEAD", "/logs/stream", "GET"),
    ],
)
def test_a_wrong_method(api: Service, method: str, path: str, allowed: str) -> None:
    answer = api.http.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    if method != "HEAD":
        assert_error(answer, 405, "invalid_request_error", "method_not_allowed")


BODIES = ["/start", "/start-stream", "/switch-model", "/config"]


@requirement("5.shape")
@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"not json",
        b'{"model_name": NaN}',
        b"\xff\xfe{}",
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"[" * 60_000,
        b'{"model_name": "a"} trailing',
        b"1" * 5000,
        b'{"model_name": "\\ud800"}',
    ],
)
def test_bad_json(api: Service, path: str, body: bytes) -> None:
    answer = api.http.post(path, content=body)
    error = answer.json()["error"]
    assert_error(answer, 400, "invalid_request_error", error["code"])
    assert error["code"] == "invalid_json"


@requirement("5.shape")
@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("body", ["[]", '"text"', "3", "true", "null"])
def test_json_that_is_no_object(api: Service, path: str, body: str) -> None:
    assert_error(api.http.post(path, content=body), 400, "invalid_request_error", "invalid_request")


@requirement("5.shape", "start.options")
@pytest.mark.parametrize("path", ["/start", "/start-stream", "/switch-model"])
@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"model_name": 3}, "model_name"),
        ({"model_name": ["a"]}, "model_name"),
        ({"model_name": "x" * 600}, "model_name"),
        ({"port": "1234"}, "port"),
        ({"port": 70000}, "port"),
        ({"port": -1}, "port"),
        ({"port": 1.5}, "port"),
        ({"port": True}, "port"),
        ({"surprise": 1}, "surprise"),
        ({"options": []}, "options"),
        ({"options": {"surprise": 1}}, "options.surprise"),
        ({"options": {"auto_download": "yes"}}, "options.auto_download"),
        ({"options": {"timeout_seconds": 0}}, "options.timeout_seconds"),
        ({"options": {"timeout_seconds": 86401}}, "options.timeout_seconds"),
        ({"options": {"timeout_seconds": "300"}}, "options.timeout_seconds"),
        ({"options": {"health_check_interval_seconds": 0}}, "options.health_check_interval_seconds"),
        ({"options": {"context_size": 1}}, "options.context_size"),
    ],
)
def test_a_wrong_field_is_named(api: Service, path: str, extra: dict[str, Any], field: str) -> None:
    answer = api.post(path, {"model_name": CHAT_MODEL} | extra)
    error = assert_error(answer, 400, "invalid_request_error", "invalid_request")
    assert error["details"].startswith(f"{field}: ")
    assert api.status()["status"] == "stopped"


@requirement("5.too-large")
@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_is_too_large(api: Service, path: str) -> None:
    body = json.dumps({"model_name": "x" * 70_000})
    answer = api.http.post(path, content=body)
    assert_error(answer, 413, "invalid_request_error", "request_too_large")
    chunked = api.http.post(path, content=iter([body.encode()]))
    assert_error(chunked, 413, "invalid_request_error", "request_too_large")


@requirement("5.shape")
def test_the_gateway_has_the_same_shape(running_api: Service) -> None:
    with running_api.gateway() as gateway:
        for method, path, status in (
            ("GET", "/nowhere", 404),
            ("POST", "/v1/models", 405),
            ("POST", "/health", 405),
        ):
            answer = gateway.request(method, path)
            assert_error(answer, status, answer.json()["error"]["type"], answer.json()["error"]["code"])
        answer = gateway.post("/v1/chat/completions", content="{")
        assert_error(answer, 400, "invalid_request_error", "invalid_json")
        answer = gateway.post(
            "/v1/chat/completions", json={"model": "nope", "messages": [{"role": "user", "content": "Hi"}]}
        )
        assert_error(answer, 404, "not_found_error", "model_not_found")
        for headers in (
            {"Authorization": "Bearer fl-wrong"},
            {"Authorization": "Basic x"},
            {"x-api-key": "a"},
        ):
            answer = httpx.get(gateway.base_url.join("/v1/models"), headers=headers)
            assert_error(answer, 401, "authentication_error", "invalid_api_key")


@requirement("5.secrets")
def test_no_error_shows_a_key_or_a_folder(running_api: Service) -> None:
    key = running_api.status()["health"]["api_key"]
    texts = [
        running_api.http.request(method, path, content=body).text
        for method, path, body in (
            ("POST", "/start", b"{"),
            ("POST", "/start", b'{"model_name": "../../etc/passwd"}'),
            ("GET", "/models/..%2F..%2Fetc%2Fpasswd", b""),
            ("DELETE", "/models/%2e%2e%2f%2e%2e", b""),
            ("POST", "/config", b'{"cache_dir": "/proc/x"}'),
            ("GET", "/info", b""),
            ("GET", "/health", b""),
        )
    ]
    for text in texts:
        assert key not in text and "Traceback" not in text and "/root" not in text
