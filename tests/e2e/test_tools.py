"""Tools through the gateway with the real engine: chat, messages, responses, whole and streamed.

The starter model's template has no place for tools, so a copy of it with one that has serves as the model that
can call them. It is too small to choose well: the engine's grammar sees to the form, which is what is tested.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from anthropic import types
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from tests.e2e.test_conformance import CHAT, post, stream, strict
from tests.real_models import store_variant
from tests.running import Service, running

pytestmark = pytest.mark.model
TOOL_MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
TEMPLATE = """\
{%- if tools %}{{- '<|im_start|>system\\nFunctions:\\n' }}
{%- for tool in tools %}{{- tool | tojson }}{{- '\\n' }}{%- endfor %}{{- '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- if message.tool_calls %}{%- for call in message.tool_calls %}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
{%- endfor %}{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
PARAMETERS = {
    "type": "object",
    "properties": {"size": {"enum": ["small", "large"]}},
    "required": ["size"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": PARAMETERS}}
ARGUMENTS = '{"size":"large"}'
QUESTION: dict[str, Any] = {"role": "user", "content": "Look, large."}


def _history(call: Any, result: Any) -> list[Any]:
    """What was asked, called and answered twice before: even a small model goes on like that."""
    return [entry for number in range(2) for entry in (QUESTION, call(f"c{number}"), result(f"c{number}"))]


OF_CHAT: dict[str, Any] = {
    "messages": [
        *_history(
            lambda name: {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": name, "type": "function", "function": {"name": "look", "arguments": ARGUMENTS}}
                ],
            },
            lambda name: {"role": "tool", "tool_call_id": name, "content": "Seen."},
        ),
        QUESTION,
    ],
    "tools": [TOOL],
    "tool_choice": "required",
    "max_tokens": 60,
    "temperature": 0,
}
OF_MESSAGES: dict[str, Any] = {
    "messages": [
        *_history(
            lambda name: {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": name, "name": "look", "input": json.loads(ARGUMENTS)}],
            },
            lambda name: {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": name, "content": "Seen."}],
            },
        ),
        QUESTION,
    ],
    "tools": [{"name": "look", "description": "Looks.", "input_schema": PARAMETERS}],
    "tool_choice": {"type": "any"},
    "max_tokens": 60,
    "temperature": 0,
}
OF_RESPONSES: dict[str, Any] = {
    "input": [
        *_history(
            lambda name: {
                "type": "function_call",
                "call_id": name,
                "name": "look",
                "arguments": ARGUMENTS,
            },
            lambda name: {"type": "function_call_output", "call_id": name, "output": "Seen."},
        ),
        QUESTION,
    ],
    "tools": [
        {
            "type": "function",
            "name": "look",
            "description": "Looks.",
            "parameters": PARAMETERS,
            "strict": True,
        }
    ],
    "tool_choice": "required",
    "max_output_tokens": 60,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("tool-home")
    store_variant(home, TOOL_MODEL, {"tokenizer.chat_template": TEMPLATE})
    with running(home) as found:
        found.start(TOOL_MODEL)
        yield found


@pytest.fixture
def gateway(service: Service) -> Iterator[httpx.Client]:
    with service.gateway() as client:
        yield client


def check_arguments(text: str) -> None:
    arguments = json.loads(text)
    assert arguments.keys() == {"size"} and arguments["size"] in ("small", "large")


@pytest.mark.parametrize("n", [1, 2])
def test_a_chat_calls_a_tool(gateway: httpx.Client, n: int) -> None:
    body = post(gateway, CHAT, OF_CHAT | {"n": n})
    answer = strict(ChatCompletion, body)
    assert len(answer.choices) == n
    for choice in answer.choices:
        assert choice.finish_reason == "tool_calls"
        (call,) = choice.message.tool_calls
        assert call.id and (call.type, call.function.name) == ("function", "look")
        check_arguments(call.function.arguments)
    assert all("content" in choice["message"] for choice in body["choices"])


@pytest.mark.parametrize("n", [1, 2])
def test_a_streamed_chat_calls_a_tool(gateway: httpx.Client, n: int) -> None:
    chunks = stream(gateway, CHAT, OF_CHAT | {"n": n})
    texts, names, ends = [""] * n, [""] * n, [""] * n
    for chunk in chunks:
        strict(ChatCompletionChunk, chunk)
        for choice in chunk["choices"]:
            at = choice["index"]
            ends[at] = choice["finish_reason"] or ends[at]
            for piece in choice["delta"].get("tool_calls", ()):
                names[at] += piece["function"].get("name") or ""
                texts[at] += piece["function"].get("arguments") or ""
    assert (names, ends) == (["look"] * n, ["tool_calls"] * n)
    for text in texts:
        check_arguments(text)


def test_the_result_of_a_tool_goes_back(service: Service) -> None:
    health = service.status()["health"]
    with openai.OpenAI(base_url=health["endpoint"], api_key=health["api_key"], max_retries=0) as client:
        ask: Any = {"model": TOOL_MODEL, **OF_CHAT}
        said = client.chat.completions.create(**ask).choices[0].message
        assert said.tool_calls
        result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "Seen."}
        ask["messages"] = [*ask["messages"], said.model_dump(exclude_none=True), result]
        last = client.chat.completions.create(**ask | {"tool_choice": "none"})
        assert last.choices[0].message.content


def test_messages_call_a_tool(gateway: httpx.Client) -> None:
    body = post(gateway, "/v1/messages", OF_MESSAGES)
    strict(types.Message, body)
    assert body["stop_reason"] == "tool_use"
    used = [block for block in body["content"] if block["type"] == "tool_use"]
    assert [block["name"] for block in used] == ["look"]
    check_arguments(json.dumps(used[0]["input"]))
    events = stream(gateway, "/v1/messages", OF_MESSAGES)
    for event in events:
        strict(types.RawMessageStreamEvent, event)
    pieces = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    check_arguments("".join(piece.get("partial_json", "") for piece in pieces))


def test_responses_call_a_tool(gateway: httpx.Client) -> None:
    body = post(gateway, "/v1/responses", OF_RESPONSES)
    strict(Response, body)
    made = [item for item in body["output"] if item["type"] == "function_call"]
    assert [item["name"] for item in made] == ["look"]
    check_arguments(made[0]["arguments"])
    events = stream(gateway, "/v1/responses", OF_RESPONSES)
    for event in events:
        strict(ResponseStreamEvent, event)
    check_arguments("".join(event["delta"] for event in events if event["type"].endswith("arguments.delta")))
    assert events[-1]["type"] == "response.completed"


NAMED = {**PARAMETERS, "properties": {"size": {"enum": ["named"]}}}


@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
def test_a_tool_chosen_by_name_is_the_one_that_is_called(gateway: httpx.Client, dialect: str) -> None:
    if dialect == "chat":
        tools: list[Any] = [TOOL, {"type": "function", "function": {"name": "see", "parameters": NAMED}}]
        choice: Any = {"type": "function", "function": {"name": "see"}}
        body = post(gateway, CHAT, OF_CHAT | {"tools": tools, "tool_choice": choice})
        (call,) = body["choices"][0]["message"]["tool_calls"]
        made = (call["function"]["name"], json.loads(call["function"]["arguments"]))
    elif dialect == "messages":
        tools = [*OF_MESSAGES["tools"], {"name": "see", "input_schema": NAMED}]
        choice = {"type": "tool", "name": "see"}
        body = post(gateway, "/v1/messages", OF_MESSAGES | {"tools": tools, "tool_choice": choice})
        (used,) = [block for block in body["content"] if block["type"] == "tool_use"]
        made = (used["name"], used["input"])
    else:
        tools = [*OF_RESPONSES["tools"], {"type": "function", "name": "see", "parameters": NAMED}]
        choice = {"type": "function", "name": "see"}
        body = post(gateway, "/v1/responses", OF_RESPONSES | {"tools": tools, "tool_choice": choice})
        strict(Response, body)
        assert len(body["tools"]) == 2 and body["tool_choice"] == choice
        (item,) = [item for item in body["output"] if item["type"] == "function_call"]
        made = (item["name"], json.loads(item["arguments"]))
    assert made == ("see", {"size": "named"})


def test_the_output_of_responses_goes_back_as_input(service: Service) -> None:
    health = service.status()["health"]
    with openai.OpenAI(base_url=health["endpoint"], api_key=health["api_key"], max_retries=0) as client:
        ask: Any = {"model": TOOL_MODEL, **OF_RESPONSES}
        first = client.responses.create(**ask)
        (call,) = [item for item in first.output if item.type == "function_call"]
        output = [{"type": "input_text", "text": "Seen."}]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": output}
        ask |= {"input": [*ask["input"], *first.output, result], "tool_choice": "none"}
        second = client.responses.create(**ask)
        assert second.output_text
        ask["input"] += [*second.output, {"role": "user", "content": "And now?"}]
        assert client.responses.create(**ask).output_text


STRICT = {
    "type": "object",
    "properties": {"code": {"type": "string", "pattern": r"^\d{3}$"}},
    "required": ["code"],
    "additionalProperties": False,
}
_OTHER = {"type": "object", "properties": {"never": {"const": True}}, "required": ["never"]}
_CHOICES: list[tuple[str, Any]] = [
    ("chat", "required"),
    ("chat", {"type": "function", "function": {"name": "see"}}),
    (
        "chat",
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "see"}}],
            },
        },
    ),
    ("messages", {"type": "any"}),
    ("messages", {"type": "tool", "name": "see"}),
    ("responses", "required"),
    ("responses", {"type": "function", "name": "see"}),
    (
        "responses",
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "see"}]},
    ),
]


def _called(gateway: httpx.Client, dialect: str, choice: Any, is_stream: bool) -> list[tuple[str, str]]:
    """The calls of an answer to a question that has nothing to do with the tools."""
    question = [{"role": "user", "content": "How are you?"}]
    schemas = {"see": STRICT} if choice in ("required", {"type": "any"}) else {"see": STRICT, "other": _OTHER}
    if dialect == "chat":
        tools: list[Any] = [
            {"type": "function", "function": {"name": name, "parameters": schema}}
            for name, schema in schemas.items()
        ]
        body = {"messages": question, "tools": tools, "tool_choice": choice, "max_tokens": 60}
        if not is_stream:
            calls = post(gateway, CHAT, body)["choices"][0]["message"]["tool_calls"]
            return [(call["function"]["name"], call["function"]["arguments"]) for call in calls]
        pieces = [
            piece["function"]
            for chunk in stream(gateway, CHAT, body)
            for choice_ in chunk["choices"]
            for piece in choice_["delta"].get("tool_calls", ())
        ]
        return [
            (
                "".join(piece.get("name") or "" for piece in pieces),
                "".join(piece.get("arguments") or "" for piece in pieces),
            )
        ]
    if dialect == "messages":
        tools = [{"name": name, "input_schema": schema} for name, schema in schemas.items()]
        body = {"messages": question, "tools": tools, "tool_choice": choice, "max_tokens": 60}
        if not is_stream:
            blocks = post(gateway, "/v1/messages", body)["content"]
            return [(block["name"], json.dumps(block["input"])) for block in blocks]
        events = stream(gateway, "/v1/messages", body)
        names = [e["content_block"]["name"] for e in events if e["type"] == "content_block_start"]
        return [(names[0], "".join(e["delta"].get("partial_json", "") for e in events if "delta" in e))]
    tools = [{"type": "function", "name": name, "parameters": schema} for name, schema in schemas.items()]
    body = {"input": question, "tools": tools, "tool_choice": choice, "max_output_tokens": 60}
    if not is_stream:
        output = post(gateway, "/v1/responses", body)["output"]
    else:
        output = stream(gateway, "/v1/responses", body)[-1]["response"]["output"]
    return [(item["name"], item["arguments"]) for item in output]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(("dialect", "choice"), _CHOICES)
def test_a_required_call_is_made_and_keeps_its_schema(
    gateway: httpx.Client, dialect: str, choice: Any, is_stream: bool
) -> None:
    ((name, arguments),) = _called(gateway, dialect, choice, is_stream)
    assert name == "see"
    code = json.loads(arguments)["code"]
    assert len(code) == 3 and code.isdecimal()
