"""Tools of providers beside functions: left out, noted in the log, and counted; images for a model without eyes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.running import Service

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
USER = {"role": "user", "content": "Hi"}
HOSTED = {"type": "web_search", "name": "web_search"}
REQUESTS: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [USER], "tools": [HOSTED, {"type": "function", "function": {"name": "f"}}]},
    RESPONSES: {"input": "Hi", "tools": [HOSTED, {"type": "function", "name": "f"}]},
    MESSAGES: {
        "messages": [USER],
        "max_tokens": 8,
        "tools": [
            HOSTED | {"type": "web_search_20250305"},
            {"name": "f", "input_schema": {"type": "object"}},
        ],
    },
}
URL = "data:image/png;base64,AAAA"
SOURCE = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
IMAGES: dict[str, dict[str, Any]] = {
    CHAT: {
        "messages": [
            USER,
            {
                "role": "tool",
                "tool_call_id": "a",
                "content": [{"type": "image_url", "image_url": {"url": URL}}],
            },
        ]
    },
    RESPONSES: {
        "input": [
            USER | {"type": "message"},
            {
                "type": "function_call_output",
                "call_id": "a",
                "output": [{"type": "input_image", "image_url": URL}],
            },
        ]
    },
    MESSAGES: {
        "max_tokens": 8,
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [{"type": "image", "source": SOURCE}],
                    }
                ],
            }
        ],
    },
}


@pytest.mark.parametrize("path", list(REQUESTS))
def test_a_hosted_tool_that_was_left_out_is_in_the_log_and_in_the_metrics(
    service: Service, path: str
) -> None:
    service.start()
    with service.gateway() as gateway:
        for _ in range(2):
            assert gateway.post(path, json=REQUESTS[path]).status_code == 200
        alone = gateway.post(path, json=REQUESTS[path] | {"tools": [HOSTED | {"type": "mcp"}]})
    assert (alone.status_code, "'mcp'" in alone.json()["error"]["message"]) == (400, True)
    assert 'foundrylocal_unsupported_tools_total{tool="web_search"} 2.0' in service.get("/metrics").text
    lines = [entry["message"] for entry in service.get("/logs?count=1000").json()]
    assert sum("left_out_tools=web_search" in line for line in lines) == 2


@pytest.mark.parametrize("path", list(IMAGES))
def test_an_image_in_a_result_is_refused_in_words_about_images(service: Service, path: str) -> None:
    service.start()
    with service.gateway() as gateway:
        answer = gateway.post(path, json=IMAGES[path])
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert "cannot take images" in error["message"] and error["param"] in ("messages", "input")
