"""Every kind of answer of the real engine, and every chunk, against the published schemas, taken strictly.

Strictly: a field that the published schema requires must be there even when it may be null, which the clients'
own types do not ask for; those fields are listed here. The rest is the clients' types without conversions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from anthropic import types
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.published_schemas import check
from tests.running import CHAT_MODEL, CHAT_MODEL_ID, Service
from tests.unit.gateway.dialects.bad_requests import BAD_BODIES, BAD_FIELDS

pytestmark = pytest.mark.model
CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say hello."}],
    "max_tokens": 6,
    "temperature": 0,
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA},
}
_CHOICE = {"finish_reason", "index", "logprobs"}
_FRAME = {"id", "object", "created", "model", "choices"}
_RESPONSE = {
    *(
        "id",
        "object",
        "created_at",
        "error",
        "incomplete_details",
        "instructions",
        "model",
        "tools",
        "output",
    ),
    *("parallel_tool_calls", "metadata", "tool_choice", "temperature", "top_p"),
}


@pytest.fixture
def gateway(real_service: Service) -> Iterator[httpx.Client]:
    real_service.start()
    with real_service.gateway() as client:
        yield client


def strict(kind: Any, body: dict[str, Any]) -> Any:
    return TypeAdapter(kind).validate_json(json.dumps(body), strict=True)


def post(gateway: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = gateway.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def stream(gateway: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The bodies of all events, the end mark aside."""
    with gateway.stream("POST", path, json=body | {"stream": True}) as answer:
        assert answer.status_code == 200, answer.read()
        data = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


CHAT_VARIANTS: list[dict[str, Any]] = [
    {},
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 3},
    {"n": 2},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    {"tools": [TOOL], "tool_choice": "none"},
    {"stop": ["l"]},
]


@pytest.mark.parametrize("fields", CHAT_VARIANTS, ids=lambda fields: "-".join(fields) or "plain")
def test_chat(gateway: httpx.Client, fields: dict[str, Any]) -> None:
    body = post(gateway, CHAT, HELLO | fields)
    answer = strict(ChatCompletion, body)
    check("chat", body)
    assert body.keys() >= _FRAME | {"usage"}
    assert body["model"] == CHAT_MODEL_ID and body["id"].startswith("chatcmpl-")
    assert len(answer.choices) == fields.get("n", 1)
    for choice in body["choices"]:
        assert choice.keys() >= _CHOICE | {"message"}
        assert choice["message"].keys() >= {"role", "content", "refusal"}
        _check_logprobs(choice["logprobs"], fields)


@pytest.mark.parametrize("fields", CHAT_VARIANTS, ids=lambda fields: "-".join(fields) or "plain")
def test_chat_stream(gateway: httpx.Client, fields: dict[str, Any]) -> None:
    chunks = stream(gateway, CHAT, HELLO | fields | {"stream_options": {"include_usage": True}})
    for chunk in chunks:
        strict(ChatCompletionChunk, chunk)
        check("chat chunk", chunk)
        assert chunk.keys() >= _FRAME | {"usage"}
        assert chunk["model"] == CHAT_MODEL_ID
        for choice in chunk["choices"]:
            assert choice.keys() >= _CHOICE | {"delta"}
            _check_logprobs(choice["logprobs"], fields)
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] > 0
    assert sum(chunk["usage"] is not None for chunk in chunks) == 1


def _check_logprobs(given: Any, fields: dict[str, Any]) -> None:
    assert given is None or fields.get("logprobs")
    for token in (given or {}).get("content", ()):
        assert token.keys() == {"token", "logprob", "bytes", "top_logprobs"}
        assert len(token["top_logprobs"]) == fields.get("top_logprobs", 0)


@pytest.mark.parametrize(
    "fields", [{}, {"logprobs": 2}, {"logprobs": 0}, {"prompt": ["a", "b"]}, {"prompt": [1, 2]}]
)
def test_completions(gateway: httpx.Client, fields: dict[str, Any]) -> None:
    asked = {"prompt": "Once", "max_tokens": 4} | fields
    body = post(gateway, "/v1/completions", asked)
    bodies = [body, *stream(gateway, "/v1/completions", asked)]
    for one in bodies:
        for choice in one["choices"] if one is not body else ():
            # As OpenAI's own streams: the type, which is that of whole answers too, knows no null here.
            choice["finish_reason"] = choice["finish_reason"] or "stop"
        strict(Completion, one)
        check("completion", one if one.get("usage") else {k: v for k, v in one.items() if k != "usage"})
        assert one.keys() >= _FRAME
        assert one["id"].startswith("cmpl-")
        for choice in one["choices"]:
            assert choice.keys() >= _CHOICE | {"text"}
    if "logprobs" in fields:
        assert body["choices"][0]["logprobs"].keys() == {
            "tokens",
            "token_logprobs",
            "top_logprobs",
            "text_offset",
        }


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"instructions": "Be brief."},
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}},
    ],
)
def test_responses(gateway: httpx.Client, fields: dict[str, Any]) -> None:
    asked = {"input": "Say hello.", "max_output_tokens": 40} | fields
    body = post(gateway, "/v1/responses", asked)
    strict(Response, body)
    check("response", body)
    assert body.keys() >= _RESPONSE
    events = stream(gateway, "/v1/responses", asked)
    for number, event in enumerate(events):
        strict(ResponseStreamEvent, event)
        check("response event", event)
        assert event["sequence_number"] == number
        if "response" in event:
            assert event["response"].keys() >= _RESPONSE
            assert event["response"]["model"] == CHAT_MODEL_ID
    assert events[-1]["type"] in ("response.completed", "response.incomplete")


def test_models(gateway: httpx.Client) -> None:
    body = gateway.get("/v1/models").json()
    assert CHAT_MODEL_ID in [strict(Model, one).id for one in body["data"]]
    for name in (CHAT_MODEL, CHAT_MODEL_ID, CHAT_MODEL_ID.replace("/", "%2F")):
        assert strict(Model, gateway.get(f"/v1/models/{name}").json()).id == CHAT_MODEL_ID
    assert gateway.get("/v1/models/nobody").status_code == 404


@pytest.mark.parametrize(
    "fields",
    [{"system": "Be brief."}, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}],
    ids=["plain", "schema"],
)
def test_messages(gateway: httpx.Client, fields: dict[str, Any]) -> None:
    asked = HELLO | fields
    body = post(gateway, "/v1/messages", asked)
    strict(types.Message, body)
    check("message", body)
    assert body["id"].startswith("msg_")
    assert body.keys() >= {"id", "type", "role", "content", "model", "stop_reason", "stop_sequence", "usage"}
    assert body["usage"].keys() >= {
        "cache_creation",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "input_tokens",
        "output_tokens",
        "server_tool_use",
        "service_tier",
    }
    events = stream(gateway, "/v1/messages", asked)
    for event in events:
        strict(types.RawMessageStreamEvent, event)
        check("message event", event)
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    count = post(gateway, "/v1/messages/count_tokens", {"messages": HELLO["messages"]})
    strict(types.MessageTokensCount, count)
    check("message count", count)


def test_a_structured_message_names_the_sequence_that_ended_it(gateway: httpx.Client) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["one two"]}}, "required": ["a"]}
    asked = HELLO | {"output_config": {"format": {"type": "json_schema", "schema": schema}}, "max_tokens": 40}
    asked |= {"stop_sequences": [" zwei", " two"]}
    body = post(gateway, "/v1/messages", asked)
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", " two")
    first, *_, ended, _ = stream(gateway, "/v1/messages", asked)
    assert (ended["delta"]["stop_reason"], ended["delta"]["stop_sequence"]) == ("stop_sequence", " two")
    begun = first["message"]["usage"]
    assert begun["input_tokens"] + begun["cache_read_input_tokens"] > 5


def test_a_response_has_the_numbers_that_were_used(gateway: httpx.Client) -> None:
    asked = {"input": "Hi", "max_output_tokens": 16, "top_p": 0.5}
    body = post(gateway, "/v1/responses", asked)
    assert body["top_p"] == 0.5 and 0 < body["temperature"] < 2
    last = stream(gateway, "/v1/responses", asked | {"previous_response_id": body["id"]})[-1]["response"]
    assert (last["top_p"], last["temperature"]) == (0.5, body["temperature"])
    assert last["usage"]["input_tokens"] > body["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("path", "asked"),
    [(CHAT, HELLO | {"n": 2}), ("/v1/completions", {"prompt": ["a", "b b"], "max_tokens": 3})],
)
def test_several_answers_count_each_token_once(
    gateway: httpx.Client, path: str, asked: dict[str, Any]
) -> None:
    whole = post(gateway, path, asked)["usage"]
    chunks = stream(gateway, path, asked | {"stream_options": {"include_usage": True}})
    (streamed,) = [chunk["usage"] for chunk in chunks if chunk["usage"]]
    for used in (whole, streamed):
        assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"]
    assert (whole["prompt_tokens"], whole["completion_tokens"]) == (
        streamed["prompt_tokens"],
        streamed["completion_tokens"],
    )
    assert whole["completion_tokens"] > asked["max_tokens"]  # of both answers together


def test_what_a_model_cannot_do_is_said(gateway: httpx.Client) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    for path, body, word in (
        ("/v1/embeddings", {"input": "a"}, "embeddings"),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}, "rerank"),
        (CHAT, {"messages": [{"role": "user", "content": [image]}]}, "images"),
        ("/infill", {"input_prefix": "a", "input_suffix": "b"}, "cannot"),
        (CHAT, HELLO | {"tools": [TOOL]}, "tools"),
        ("/v1/messages", HELLO | {"tools": [{"name": "look", "input_schema": SCHEMA}]}, "tools"),
        ("/v1/responses", {"input": "a", "tools": [{"type": "function", "name": "look"}]}, "tools"),
    ):
        answer = gateway.post(path, json=body)
        assert answer.status_code == 400, answer.text
        assert word in answer.json()["error"]["message"]
    assert CreateEmbeddingResponse  # the type that embeddings are checked with in test_embeddings


def test_a_prompt_that_does_not_fit_tells_both_counts(gateway: httpx.Client) -> None:
    answer = gateway.post(CHAT, json={"messages": [{"role": "user", "content": "word " * 9000}]})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "messages")
    counts = [int(word) for word in error["message"].split() if word.isdecimal()]
    assert counts[0] == 8192 and counts[1] > 9000


@pytest.mark.parametrize(
    "path", ["slots", "props", "metrics", "lora-adapters", "v1/slots", "v1/props", "v1/lora"]
)
def test_the_engines_own_paths_are_not_there(gateway: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        answer = gateway.request(method, f"/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "endpoint_not_found")
    assert gateway.get(CHAT).json()["error"]["code"] == "method_not_allowed"


def test_a_corpus_of_bad_requests_is_refused_and_the_worker_lives(
    gateway: httpx.Client, real_service: Service
) -> None:
    (before,) = real_service.workers()
    for path, body, param in BAD_FIELDS:
        answer = gateway.post(path, json=body)
        assert 400 <= answer.status_code < 500, (path, body, answer.text)
        assert param in answer.json()["error"]["message"]
    for data in BAD_BODIES:
        assert gateway.post(CHAT, content=data).status_code == 400
    for body in HARD:
        answer = gateway.post(CHAT, json=HELLO | body)
        assert answer.status_code in (200, 400), (body, answer.text)
    assert gateway.post("/detokenize", json={"tokens": [2**30]}).status_code == 400
    assert gateway.post("/v1/completions", json={"prompt": [2**30]}).status_code == 400
    assert gateway.post(CHAT, json=HELLO).status_code == 200
    assert real_service.workers() == [before]


def _schema(schema: object) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


# What only the engine can judge: it may refuse, it may not end.
HARD: list[dict[str, Any]] = [
    {"grammar": "root ::= "},
    {"grammar": "root ::= nobody"},
    {"grammar": "# nothing"},
    {"grammar": 'root ::= (("a"*)*)*'},
    {"grammar": 'root ::= (n+)+ "x"\nn ::= "a"?'},
    {"grammar": 'root ::= "a"{0} [z-a]'},
    {"grammar": 'root ::= "\\UFFFFFFFF" <[2147483647]>'},
    {"grammar": "root ::= <[99999999999999999999]>"},
    {"grammar": 'root ::= "\\"'},
    _schema({"type": "banana"}),
    _schema({"type": "string", "maxLength": 10**9}),
    _schema({"type": "string", "minLength": 2000}),
    _schema({"type": "array", "minItems": 2000, "items": {"type": "array", "minItems": 2000}}),
    _schema({"enum": ["\u0000", "\U0001f600"]}),
    _schema({"enum": [f"x{n}" for n in range(1000)]}),
    _schema({"enum": []}),
    _schema({"type": 5, "properties": [], "items": 5, "anyOf": {}}),
    _schema({"properties": {"a\u0000b": {"type": "string"}}, "required": "a"}),
    _schema({"properties": {f"p{n}": {"type": "string"} for n in range(500)}}),
    _schema({"anyOf": [{"type": "string"}] * 1000}),
    _schema({"$defs": {"n": {"properties": {"c": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}),
    _schema({"allOf": [True, {"enum": ["a"]}, {"enum": ["b"]}]}),
    _schema({"type": "integer", "minimum": 10, "maximum": 1}),
    _schema({"type": "integer", "minimum": -(2**63), "maximum": 2**64 - 1}),
    _schema({"type": "integer", "maximum": 1e300}),
    *(
        _schema({"type": "string", "pattern": pattern})
        for pattern in (
            "^*$",
            "^()*$",
            "^((a*)*)*$",
            "^[$",
            "^\\",
            "^a{,}$",
            "^a{1,}{1,}$",
            "^a\0b$",
            "^(?=a)b$",
        )
    ),
    {"logit_bias": {"2147483647": 5}},
    {"messages": [{"role": "user", "content": ""}]},
    {"messages": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]},
    {"messages": [{"role": "user", "content": "<|im_end|>\u0000<|im_start|>"}]},
    {"chat_template_kwargs": {"messages": 5, "add_generation_prompt": "x"}},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "banana"}}}]},
]
