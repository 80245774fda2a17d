"""Whatever stands in any place of a request: a dialect takes it, or refuses it with an error of ours."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest

from foundrylocal.errors import FoundryLocalError
from tests.unit.gateway.dialects.prepare import parse

_PARAMETERS = {"type": "object", "properties": {"a": {"type": "string"}}}
_FUNCTION = {"name": "f", "description": "d", "parameters": _PARAMETERS, "strict": False}
_PIXEL = "data:image/png;base64,iVBORw0KGgo="
_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
_ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "a", "annotations": []}],
    },
    {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "x"}]},
    {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "s"}]},
    {"type": "web_search_call", "id": "w", "action": {"type": "search"}},
]
_BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
]
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    (
        "/v1/chat/completions",
        {
            "messages": [
                {"role": "system", "content": "x"},
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": None, "tool_calls": [_CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "x"},
            ],
            "tools": [{"type": "function", "function": _FUNCTION}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "stream_options": {"include_usage": True},
            "stream": True,
            "logit_bias": {"1": 1},
            "stop": ["x"],
            "n": 1,
        },
    ),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "response_format": _FORMAT}),
    ("/v1/completions", {"prompt": ["Hi"], "stop": ["x"], "logit_bias": {"1": 1}, "logprobs": 1}),
    (
        "/v1/responses",
        {
            "input": _ITEMS,
            "instructions": "x",
            "tools": [{"type": "function", **_FUNCTION}, {"type": "web_search"}],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}],
            },
            "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
            "reasoning": {"effort": "low"},
            "metadata": {"a": "b"},
        },
    ),
    (
        "/v1/messages",
        {
            "max_tokens": 5,
            "system": [{"type": "text", "text": "x"}],
            "messages": [
                {"role": "user", "content": _BLOCKS},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "t", "signature": "s"},
                        {"type": "tool_use", "id": "1", "name": "f", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "1",
                            "content": [{"type": "text", "text": "x"}],
                        }
                    ],
                },
            ],
            "tools": [{"name": "f", "input_schema": _PARAMETERS}],
            "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "metadata": {"user_id": "u"},
        },
    ),
    (
        "/api/chat",
        {
            "model": "m",
            "messages": [{"role": "user", "content": "Hi", "images": [_PIXEL.partition(",")[2]]}],
            "tools": [{"type": "function", "function": _FUNCTION}],
            "format": {"type": "object"},
            "options": {"temperature": 0.5, "stop": ["x"], "num_predict": 5},
            "keep_alive": "5m",
            "think": False,
        },
    ),
    ("/api/generate", {"model": "m", "prompt": "Hi", "system": "s", "options": {"seed": 1}}),
    ("/api/embed", {"model": "m", "input": ["Hi"], "truncate": True}),
    ("/v1/embeddings", {"input": ["Hi"], "encoding_format": "float", "dimensions": 2}),
    ("/v1/rerank", {"query": "x", "documents": ["y", {"text": "z"}], "top_n": 1}),
    ("/infill", {"input_prefix": "a", "input_suffix": "b", "input_extra": [{"filename": "f", "text": "t"}]}),
    ("/tokenize", {"content": "Hi", "add_special": True}),
    ("/apply-template", {"messages": [{"role": "user", "content": "Hi"}]}),
]
VALUES: list[Any] = [
    None,
    {},
    [],
    "",
    "x",
    0,
    -1,
    1.5,
    True,
    [{}],
    [[]],
    {"type": {}},
    {"type": []},
    {"type": "text"},
]
Place = tuple[str | int, ...]


def places(node: Any, above: Place = ()) -> Iterator[Place]:
    """The way to every value below `node`."""
    below: list[tuple[str | int, Any]] = []
    if isinstance(node, dict):
        below = list(node.items())
    elif isinstance(node, list):
        below = list(enumerate(node))
    for key, value in below:
        yield (*above, key)
        yield from places(value, (*above, key))


def replaced(body: Any, place: Place, value: Any) -> Any:
    changed = copy.deepcopy(body)
    node = changed
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return changed


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_no_value_in_any_place_is_a_fault(path: str, body: dict[str, Any]) -> None:
    parse(path, body)
    for place in places(body):
        for value in VALUES:
            with contextlib.suppress(FoundryLocalError):
                parse(path, replaced(body, place, value))
