"""Parallel calls turned off: the engine makes two calls, and the client of each dialect gets the first one only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.gateway.raw import CHAT, events_of
from tests.running import FAKE_WORKER, running, store_tiny_model

Json = dict[str, Any]
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION: Json = {"name": "look", "parameters": SCHEMA}
MESSAGES = [{"role": "user", "content": "script: two-tools"}]
OPENAI: Json = {"messages": MESSAGES, "tools": [{"type": "function", "function": FUNCTION}]}
ANTHROPIC: Json = {
    "messages": MESSAGES,
    "max_tokens": 50,
    "tools": [{"name": "look", "input_schema": SCHEMA}],
}
RESPONSES: Json = {"input": "script: two-tools", "tools": [{"type": "function", **FUNCTION}]}
OFF = {"parallel_tool_calls": False}
FIRST = json.dumps({"a": 5})


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home: Path = tmp_path_factory.mktemp("home")
    store_tiny_model(home)
    with running(home, worker=FAKE_WORKER) as service:
        service.start()
        with service.gateway() as client:
            yield client


def whole(gateway: httpx.Client, path: str, body: Json) -> Json:
    answer = gateway.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def streamed(gateway: httpx.Client, path: str, body: Json) -> list[Json]:
    answer = gateway.post(path, json=body | {"stream": True})
    assert answer.status_code == 200, answer.text
    return [json.loads(event) for event in events_of(answer.content) if event != "[DONE]"]


@pytest.mark.parametrize("choice", [{}, {"tool_choice": "auto"}, {"n": 2}])
def test_a_chat_has_one_call(gateway: httpx.Client, choice: Json) -> None:
    count = choice.get("n", 1)
    if count == 1:
        answer = whole(gateway, CHAT, OPENAI | OFF | choice)
        (call,) = answer["choices"][0]["message"]["tool_calls"]
        assert call["function"] == {"name": "look", "arguments": FIRST}
        assert answer["choices"][0]["finish_reason"] == "tool_calls"
    chunks = streamed(gateway, CHAT, OPENAI | OFF | choice)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert {call["index"] for call in calls} == {0}
    assert "".join(call["function"].get("arguments", "") for call in calls) == FIRST * count
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == [
        "tool_calls"
    ] * count


def test_a_message_has_one_call(gateway: httpx.Client) -> None:
    body = ANTHROPIC | {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    answer = whole(gateway, "/v1/messages", body)
    assert [block["input"] for block in answer["content"]] == [{"a": 5}]
    events = streamed(gateway, "/v1/messages", body)
    assert sum(event["type"] == "content_block_start" for event in events) == 1


def test_a_response_has_one_call(gateway: httpx.Client) -> None:
    answer = whole(gateway, "/v1/responses", RESPONSES | OFF)
    assert [item["arguments"] for item in answer["output"]] == [FIRST]
    events = streamed(gateway, "/v1/responses", RESPONSES | OFF)
    assert sum(event["type"] == "response.output_item.added" for event in events) == 1
    assert len(events[-1]["response"]["output"]) == 1


def test_without_it_both_calls_are_answered(gateway: httpx.Client) -> None:
    assert len(whole(gateway, CHAT, OPENAI)["choices"][0]["message"]["tool_calls"]) == 2
    assert len(whole(gateway, "/v1/messages", ANTHROPIC)["content"]) == 2
    assert len(whole(gateway, "/v1/responses", RESPONSES)["output"]) == 2
