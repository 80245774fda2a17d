"""Who may call: Host and Origin on every route of both ports, local pages, settings, the management key."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model

requirement = pytest.mark.requirement

KEY = "a-management-key-of-the-test"
FOREIGN_HOSTS: list[list[str]] = [
    [],
    ["evil.example"],
    ["localhost", "evil.example"],
    ["localhost", "localhost"],
    ["localhost.evil.example"],
    ["127.0.0.1.nip.io"],
    ["evil.example:9500"],
    ["127.0.0.2"],
    ["localhost:99999"],
    ["localhost:"],
    ["user@localhost"],
    ["0.0.0.0"],
    ["[::]"],
    [""],
    ["localhost,evil.example"],
]
FOREIGN_ORIGINS = [
    "null",
    "http://evil.example",
    "https://localhost.evil.example",
    "http://127.0.0.1.evil.example:80",
    "file://",
    "chrome-extension://abcdef",
    "http://localhost@evil.example",
    "http://localhost/",
    "",
    "http://[::1]evil",
]


def routes(service: Service) -> list[tuple[str, str]]:
    """Every operation of the management port, and some paths that are none."""
    document = service.get("/openapi.json").json()
    found = [
        (method.upper(), path.replace("{model_name}", CHAT_MODEL))
        for path, operations in document["paths"].items()
        for method in operations
    ]
    assert len(found) >= 20
    return [
        *found,
        ("GET", "/docs"),
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("OPTIONS", "/"),
        ("HEAD", "/openapi.json"),
    ]


GATEWAY_ROUTES = [
    ("GET", "/health"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/responses/compact"),
    ("DELETE", "/v1/responses/resp_1"),
    ("POST", "/tokenize"),
    ("GET", "/nowhere"),
]


def send(
    port: int, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b""
) -> tuple[int, Any]:
    """One request with exactly these headers; the status and the body's error object."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, (json.loads(data).get("error") if data[:1] == b"{" else None)


def picture(service: Service) -> Any:
    """What a call could have changed."""
    status = service.status()
    config = service.post("/config", {}).json()
    models = service.get("/models/downloaded").json()
    return status["status"], status["current_model"], status["port"], config, models


def assert_refused(found: tuple[int, Any], method: str, code: str, what: object) -> None:
    status, error = found
    assert status == 403, (what, found)
    if method != "HEAD":
        assert (error["type"], error["code"]) == ("permission_error", code), what


@requirement("12.host")
def test_foreign_hosts(running_api: Service) -> None:
    before = picture(running_api)
    for method, path in routes(running_api):
        for hosts in FOREIGN_HOSTS:
            found = send(running_api.port, method, path, [("Host", host) for host in hosts])
            if hosts in ([], ["localhost", "localhost"]) and found[0] == 400:
                continue  # the HTTP parser may refuse what HTTP/1.1 forbids; nothing was routed
            assert_refused(found, method, "host_not_allowed", (method, path, hosts))
    assert picture(running_api) == before


@requirement("12.origin")
def test_foreign_origins(running_api: Service) -> None:
    before = picture(running_api)
    for method, path in routes(running_api):
        for origin in FOREIGN_ORIGINS:
            found = send(running_api.port, method, path, [("Host", "localhost"), ("Origin", origin)])
            assert_refused(found, method, "origin_not_allowed", (method, path, origin))
        cross = send(
            running_api.port, method, path, [("Host", "localhost"), ("Sec-Fetch-Site", "cross-site")]
        )
        assert_refused(cross, method, "origin_not_allowed", (method, path, "cross-site"))
    assert picture(running_api) == before


@requirement("12.host", "12.origin")
def test_the_gateway_refuses_the_same(running_api: Service) -> None:
    status = running_api.status()
    port, key = status["port"], status["health"]["api_key"]
    proof = ("Authorization", f"Bearer {key}")
    for method, path in GATEWAY_ROUTES:
        for hosts in FOREIGN_HOSTS:
            found = send(port, method, path, [proof, *(("Host", host) for host in hosts)])
            if hosts in ([], ["localhost", "localhost"]) and found[0] == 400:
                continue
            assert_refused(found, method, "host_not_allowed", (method, path, hosts))
        for origin in FOREIGN_ORIGINS:
            found = send(port, method, path, [proof, ("Host", "localhost"), ("Origin", origin)])
            assert_refused(found, method, "origin_not_allowed", (method, path, origin))


@requirement("12.local-pages")
@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:8443",
        "http://[::1]:5173",
        "http://LOCALHOST:80",
    ],
)
def test_pages_of_this_machine_may_call(running_api: Service, origin: str) -> None:
    gateway = f"http://127.0.0.1:{running_api.status()['port']}"
    for url in (f"{running_api.base}/status", f"{running_api.root}/v1/models", f"{gateway}/health"):
        answer = running_api.http.get(url, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers.get_list("access-control-allow-origin") == [origin]
        assert "Origin" in answer.headers["vary"]
        assert "access-control-allow-credentials" not in answer.headers
    refused = running_api.http.get(f"{running_api.base}/nowhere", headers={"Origin": origin})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (404, origin)
    for url, asked in (
        (f"{running_api.base}/start-stream", "content-type"),
        (f"{gateway}/v1/chat/completions", "authorization,content-type"),
    ):
        preflight = running_api.http.options(
            url,
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": asked,
            },
        )
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == origin
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert preflight.headers["access-control-allow-headers"] == asked
    assert "access-control-allow-origin" not in running_api.get("/status").headers


@requirement("12.local-pages")
def test_a_foreign_page_gets_no_preflight(api: Service) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = api.http.options("/stop", headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@requirement("12.settings")
def test_settings_let_others_call(api: Service) -> None:
    api.post("/config", {"allowed_hosts": ["Box.lan"], "allowed_origins": ["https://App.example"]})
    status, _ = send(api.port, "GET", "/v1/models", [("Host", "box.LAN:9500")])
    assert status == 200
    answer = api.get("/health", headers={"Origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert api.get("/health", headers={"Origin": "https://other.example"}).status_code == 403


@requirement("1.localhost")
def test_localhost_on_both_families(api: Service) -> None:
    for address in ("127.0.0.1", "::1"):
        with socket.create_connection((address, api.port), timeout=5) as sock:
            sock.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.1 200")


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a management key."""
    home = tmp_path_factory.mktemp("locked") / "home"
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MANAGEMENT_KEY=KEY) as service:
        yield service


@requirement("12.management-key", "5.secrets")
def test_the_management_key_guards_every_call(locked: Service) -> None:
    proof = {"Authorization": f"Bearer {KEY}"}
    document = locked.http.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method in operations:
            url = locked.root + path.replace("{model_name}", CHAT_MODEL)
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}):
                answer = locked.http.request(method, url, headers=headers)
                assert answer.status_code == 401, (method, path)
                assert answer.json()["error"]["code"] == "invalid_api_key"
                assert "management_key" in answer.json()["error"]["details"]
                assert answer.headers["www-authenticate"] == "Bearer"
    assert locked.get("/docs").status_code == 200, "the page itself holds no secret"
    started = locked.http.post("/start", json={"model_name": CHAT_MODEL}, headers=proof)
    key = started.json()["api_key"]
    assert locked.get("/status", headers={"x-api-key": key}).status_code == 401, (
        "the gateway's key manages nothing"
    )
    assert KEY not in locked.http.post("/config", json={}, headers=proof).text
    assert KEY not in json.dumps(locked.get("/logs?count=10000", headers=proof).json())
    assert locked.http.post("/stop", headers=proof).status_code == 200
