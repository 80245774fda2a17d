"""Clients with a wrong base URL, and browsers: each is told what to do."""

from __future__ import annotations

import httpx

from tests.running import Service

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}


def test_a_wrong_base_url_is_explained_on_both_ports(service: Service) -> None:
    service.start()
    with service.gateway() as gateway:
        for path, hint in (("/chat/completions", "lacks /v1"), ("/v1/v1/chat/completions", "/v1 twice")):
            answer = gateway.post(path, json=HELLO)
            assert answer.status_code == 404
            assert hint in answer.json()["error"]["message"]
            assert answer.headers["x-should-retry"] == "false"
    for base in (service.root, service.base):
        for path in (
            *(
                "/v1/chat/completions",
                "/chat/completions",
                "/v1/messages",
                "/v1/v1/chat/completions",
                "/api/chat",
            ),
            *("/v1/responses/", "//v1/embeddings", "/openai/v1/completions"),
        ):
            answer = httpx.post(base + path, json=HELLO)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (404, "endpoint_not_found")
            assert "This is the management API" in error["message"] and "/status shows" in error["message"]
    assert "This is the management API" in httpx.get(f"{service.root}/api/tags").json()["error"]["message"]


def test_a_browser_at_the_root_of_the_gateway_reads_what_it_is(service: Service) -> None:
    port = service.start()["port"]
    answer = httpx.get(f"http://127.0.0.1:{port}/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "/v1" in answer.text and "fl-" not in answer.text
    page = httpx.get(f"http://127.0.0.1:{port}/", headers={"Accept": "text/html,*/*"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f'<a href="{service.root}/">' in page.text and "fl-" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert httpx.get(f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"}).status_code == 403


def test_a_browser_at_the_root_of_the_management_api_gets_the_dashboard(service: Service) -> None:
    assert "<fl-shell>" in httpx.get(f"{service.root}/").text
    answer = httpx.get(f"{service.base}/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/")


def test_an_unknown_model_is_the_fault_of_its_field(service: Service) -> None:
    service.start()
    with service.gateway() as gateway:
        error = gateway.post("/v1/chat/completions", json=HELLO | {"model": "nobody"}).json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "GET /v1/models" in error["message"]
