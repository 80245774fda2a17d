"""Every whole answer, stream event and error of every dialect, against the publishers' own schemas.

The engine is scripted (`tests/fakes/scripted.py`), so that every form of an answer comes up; the real engine's are
checked in `tests/e2e/test_conformance.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.published_schemas import check
from tests.running import BASE_MODEL, BASE_MODEL_ID, CHAT_MODEL, FAKE_WORKER, running, store_tiny_model

Json = dict[str, Any]
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FUNCTION: Json = {"name": "look", "description": "Looks.", "parameters": SCHEMA}
FORMS = (
    *("text", "nothing", "thinking", "thinking-only", "tool", "text-tool", "thinking-tool", "two-tools"),
    *("tool-without-arguments", "tool-cut", "length", "stop-word"),
)
REFUSED = ("error", "refused", "loading", "too-long")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = tmp_path_factory.mktemp("home")
    store_tiny_model(home)
    store_tiny_model(home, BASE_MODEL)
    with running(home, worker=FAKE_WORKER) as service:
        service.start(CHAT_MODEL)
        with service.gateway() as client:
            yield client


def post(gateway: httpx.Client, path: str, body: Json, status: int = 200) -> Json:
    answer = gateway.post(path, json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def events(gateway: httpx.Client, path: str, body: Json) -> list[Json]:
    """The events of a stream; each has its type in `event:` too where its dialect names it there."""
    with gateway.stream("POST", path, json=body | {"stream": True}) as answer:
        assert answer.status_code == 200, answer.read()
        text = answer.read().decode()
    found = []
    for event in text.split("\n\n"):
        head, _, data = ("\n" + event).partition("\ndata: ")
        if data and data != "[DONE]":
            found.append(json.loads(data))
            assert not head or head.strip() == f"event: {found[-1]['type']}"
    return found


# --- OpenAI's chat, completions, embeddings and models --------------------------------------------------


def chat(script: str, **fields: Any) -> Json:
    return {"messages": [{"role": "user", "content": f"script: {script}"}], **fields}


def named(asked: Json) -> str:
    """The script and the names of the further fields."""
    (script,) = re.findall(r"script: ([a-z-]+)", json.dumps(asked))
    return "+".join(
        [script, *(name for name in asked if name not in ("messages", "input", "prompt", "max_tokens"))]
    )


OF_CHAT: list[Json] = [
    *(chat(form) for form in FORMS),
    chat("forced-call", tools=[{"type": "function", "function": FUNCTION}], tool_choice="required"),
    chat("text", logprobs=True),
    chat("text", logprobs=True, top_logprobs=2),
    chat("thinking", logprobs=True, top_logprobs=1),
    chat("tool", logprobs=True),
    chat("text", n=2),
    chat("length", n=3, logprobs=True),
    chat("stop-word", stop=[" there"]),
    chat("json", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}),
    chat("json", response_format={"type": "json_object"}),
    chat("text", max_completion_tokens=5, temperature=0, top_p=0.5, seed=1, user="someone"),
]


@pytest.mark.parametrize("asked", OF_CHAT, ids=named)
def test_chat(gateway: httpx.Client, asked: Json) -> None:
    answer = post(gateway, "/v1/chat/completions", asked)
    check("chat", answer)
    assert all(choice["message"]["annotations"] == [] for choice in answer["choices"])
    for options in ({}, {"stream_options": {"include_usage": True}}):
        for chunk in events(gateway, "/v1/chat/completions", asked | options):
            check("chat chunk", chunk)


OF_COMPLETIONS: list[Json] = [
    {"prompt": "script: text"},
    {"prompt": "script: nothing"},
    {"prompt": "script: length", "logprobs": 2},
    {"prompt": "script: text", "logprobs": 0},
    {"prompt": "script: stop-word", "stop": " there"},
]


@pytest.mark.parametrize("asked", OF_COMPLETIONS, ids=named)
def test_completions(gateway: httpx.Client, asked: Json) -> None:
    check("completion", post(gateway, "/v1/completions", asked))
    for options in ({}, {"stream_options": {"include_usage": True}}):
        for chunk in events(gateway, "/v1/completions", asked | options):
            for choice in chunk["choices"]:
                # The schema is that of whole answers: as in OpenAI's own streams, only the last chunk has a reason.
                choice["finish_reason"] = choice["finish_reason"] or "stop"
            check("completion", {"usage": None, **chunk} if chunk.get("usage") else without(chunk, "usage"))


def without(value: Json, name: str) -> Json:
    return {key: one for key, one in value.items() if key != name}


def test_models(gateway: httpx.Client) -> None:
    check("models", gateway.get("/v1/models").json())
    check("model", gateway.get(f"/v1/models/{BASE_MODEL_ID}").json())


# --- errors of OpenAI's endpoints -----------------------------------------------------------------------

PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")


@pytest.mark.parametrize("path", PATHS)
def test_errors(gateway: httpx.Client, path: str) -> None:
    for answer in (
        gateway.post(path, content=b"{"),
        gateway.post(path, json={}),
        gateway.post(path, json={"model": "nobody", "messages": [], "input": "a", "prompt": "a"}),
        gateway.get(path),
        gateway.post(path + "/nobody", json={}),
        gateway.post(path, json={}, headers={"Authorization": "Bearer nobody"}),
    ):
        assert answer.status_code >= 400
        check("openai error", answer.json())


@pytest.mark.parametrize("script", REFUSED)
def test_what_the_engine_refuses(gateway: httpx.Client, script: str) -> None:
    for path, asked in (
        ("/v1/chat/completions", chat(script)),
        ("/v1/completions", {"prompt": f"script: {script}"}),
        ("/v1/responses", {"input": f"script: {script}"}),
    ):
        answer = gateway.post(path, json=asked)
        assert answer.status_code >= 400, answer.text
        check("openai error", answer.json())


def test_an_error_in_the_middle_of_a_stream(gateway: httpx.Client) -> None:
    *chunks, last = events(gateway, "/v1/chat/completions", chat("error"))
    assert chunks
    check("openai error", last)


# --- Responses ------------------------------------------------------------------------------------------


def response(script: str, **fields: Any) -> Json:
    return {"input": f"script: {script}", **fields}


RESPONSE_TOOL: Json = {"type": "function", **FUNCTION}
OF_RESPONSES: list[Json] = [
    *(response(form) for form in FORMS),
    response("forced-call", tools=[RESPONSE_TOOL], tool_choice="required", parallel_tool_calls=False),
    response("forced-call", tools=[RESPONSE_TOOL], tool_choice={"type": "function", "name": "look"}),
    response("text", tools=[{"type": "function", "name": "look"}], tool_choice="none"),
    response("text", instructions="Be brief.", max_output_tokens=16, temperature=0.5, top_p=0.5),
    response("text", metadata={"a": "b"}, safety_identifier="me", prompt_cache_key="key", truncation="auto"),
    response("text", reasoning={"effort": "low", "summary": "auto"}, service_tier="auto", store=False),
    response("text", top_logprobs=2, include=["message.output_text.logprobs"]),
    response("json", text={"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}),
    response("json", text={"format": {"type": "json_object"}, "verbosity": "low"}),
]


@pytest.mark.parametrize("asked", OF_RESPONSES, ids=named)
def test_responses(gateway: httpx.Client, asked: Json) -> None:
    check("response", post(gateway, "/v1/responses", asked))
    found = events(gateway, "/v1/responses", asked)
    for event in found:
        check("response event", event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    # What the events told in pieces is what the last one holds as a whole.
    done = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert found[-1]["type"] in ("response.completed", "response.incomplete")
    assert found[-1]["response"]["output"] == done


def test_an_error_in_the_middle_of_a_response(gateway: httpx.Client) -> None:
    found = events(gateway, "/v1/responses", response("error"))
    for event in found:
        check("response event", event)
    assert [event["type"] for event in found[-2:]] == ["response.failed", "error"]


def test_tokens_of_a_response_are_counted(gateway: httpx.Client) -> None:
    check("response count", post(gateway, "/v1/responses/input_tokens", response("text")))


# --- Anthropic's messages -------------------------------------------------------------------------------


def message(script: str, **fields: Any) -> Json:
    return chat(script, max_tokens=20, **fields)


TOOL: Json = {"name": "look", "description": "Looks.", "input_schema": SCHEMA}
FORMAT: Json = {"format": {"type": "json_schema", "schema": SCHEMA}}
OF_MESSAGES: list[Json] = [
    *(message(form) for form in FORMS),
    message("forced-call", tools=[TOOL], tool_choice={"type": "any"}),
    message("forced-call", tools=[TOOL], tool_choice={"type": "tool", "name": "look"}),
    message("stop-word", stop_sequences=[" there"], system="Be brief."),
    message("thinking", thinking={"type": "enabled", "budget_tokens": 1024}),
    message("json", output_config=FORMAT),
    message("json-stop-word", output_config=FORMAT, stop_sequences=[" 4", " 5"]),
]


@pytest.mark.parametrize("asked", OF_MESSAGES, ids=named)
def test_messages(gateway: httpx.Client, asked: Json) -> None:
    check("message", post(gateway, "/v1/messages", asked))
    for event in events(gateway, "/v1/messages", asked):
        check("message event", event)


def test_tokens_of_a_message_are_counted(gateway: httpx.Client) -> None:
    check("message count", post(gateway, "/v1/messages/count_tokens", chat("text", tools=[TOOL])))


@pytest.mark.parametrize("script", REFUSED)
def test_what_the_engine_refuses_of_a_message(gateway: httpx.Client, script: str) -> None:
    answer = gateway.post("/v1/messages", json=message(script))
    assert answer.status_code >= 400
    check("anthropic error", answer.json())


def test_errors_of_messages(gateway: httpx.Client) -> None:
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        for answer in (
            gateway.post(path, content=b"{"),
            gateway.post(path, json={}),
            gateway.post(path, json=message("text", model="nobody")),
            gateway.get(path),
            gateway.post(path + "/nobody", json={}),
            gateway.post(path, json={}, headers={"Authorization": "Bearer nobody"}),
        ):
            assert answer.status_code >= 400
            check("anthropic error", answer.json())


def test_an_error_in_the_middle_of_a_message(gateway: httpx.Client) -> None:
    *found, last = events(gateway, "/v1/messages", message("error"))
    for event in found:
        check("message event", event)
    check("anthropic error", last)
