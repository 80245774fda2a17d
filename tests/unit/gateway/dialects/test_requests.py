"""The bodies that pass, what of them the engine gets, and a corpus of those that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.errors import FoundryLocalError, InvalidJson, InvalidRequest
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.routes import ROUTES
from tests.unit.gateway.dialects.bad_requests import BAD_BODIES, BAD_FIELDS

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def engine_body(path: str, body: object) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ROUTES[path].dialect.prepare(raw)[1].body


def check(path: str, body: object) -> Body:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    parsed, _ = ROUTES[path].dialect.prepare(raw)
    return parsed


def for_engine(path: str, body: object) -> dict[str, Any]:
    return dict(json.loads(engine_body(path, body)))


@pytest.mark.parametrize(("path", "body", "param"), BAD_FIELDS)
def test_a_bad_request_names_its_field(path: str, body: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(path, body)
    assert caught.value.param == param
    assert param in caught.value.message
    assert "\n" not in caught.value.message and "msgspec" not in caught.value.message


@pytest.mark.parametrize("body", BAD_BODIES)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(FoundryLocalError) as caught:
        check(CHAT, body)
    assert isinstance(caught.value, InvalidRequest | InvalidJson)


def test_the_corpus_is_large_enough() -> None:
    assert len(BAD_FIELDS) + len(BAD_BODIES) >= 100


def test_the_engine_gets_known_fields_only() -> None:
    sent = for_engine(
        CHAT, HELLO | {"model": "x", "user": "me", "store": True, "cache_prompt": False, "x": 1}
    )
    assert sent == HELLO


def test_null_is_as_absent() -> None:
    assert for_engine(CHAT, HELLO | {"temperature": None, "tools": None, "stop": None}) == HELLO


def test_a_doubled_key_reaches_the_engine_once() -> None:
    body = b'{"messages":[{"role":"user","content":"a"}],"max_tokens":1,"max_tokens":2}'
    assert engine_body(CHAT, body).count(b"max_tokens") == 1


def test_a_developer_is_a_system() -> None:
    sent = for_engine(CHAT, {"messages": [{"role": "developer", "content": "a"}]})
    assert sent["messages"] == [{"role": "system", "content": "a"}]


def test_logprobs_without_alternatives_ask_for_one() -> None:
    assert for_engine(CHAT, HELLO | {"logprobs": True})["top_logprobs"] == 1


def test_a_byte_order_mark_is_no_fault() -> None:
    assert check(CHAT, b"\xef\xbb\xbf" + json.dumps(HELLO).encode()).model is None


def test_brackets_in_text_are_not_depth() -> None:
    content = '[{"\\' * 500
    assert (
        for_engine(CHAT, {"messages": [{"role": "user", "content": content}]})["messages"][0]["content"]
        == content
    )


def test_an_image_in_the_request_is_seen() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert check(CHAT, {"messages": [{"role": "user", "content": [part]}]}).has_images
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    turns = {"max_tokens": 1, "messages": [{"role": "user", "content": [block]}]}
    assert check("/v1/messages", turns).has_images


def test_tool_calls_and_their_results_pass() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "5"},
    ]
    sent = for_engine(CHAT, {"messages": messages})
    assert sent["messages"][1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [call | {"type": "function"}],
    }


def test_a_text_format_of_responses_becomes_a_grammar() -> None:
    wanted = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    sent = for_engine("/v1/responses", {"input": "a", "text": wanted})
    assert "response_format" not in sent
    assert sent["grammar"].startswith("%llguidance {}\n") and '"type":"object"' in sent["grammar"]


def test_items_of_responses_reach_the_engine_in_its_forms() -> None:
    items = [
        {"role": "system", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"role": "assistant", "content": "Yes"},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "b", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "5"}]},
    ]

    def said(*texts: str) -> dict[str, Any]:
        content = [{"type": "output_text", "text": text} for text in texts]
        return {"type": "message", "status": "completed", "role": "assistant", "content": content}

    assert for_engine("/v1/responses", {"input": items})["input"] == [
        {"role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        said("Yes"),
        said("b", "no"),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "5"},
    ]


_CHOICES: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"tool_choice": {"type": "function", "function": {"name": "g"}}}),
    (
        CHAT,
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "g"}}],
                },
            }
        },
    ),
    ("/v1/responses", {"tool_choice": {"type": "function", "name": "g"}}),
    (
        "/v1/responses",
        {
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "g"}],
            }
        },
    ),
    ("/v1/messages", {"tool_choice": {"type": "tool", "name": "g"}}),
]


def _two_tools(path: str) -> dict[str, Any]:
    if path == CHAT:
        return HELLO | {"tools": [{"type": "function", "function": {"name": name}} for name in ("f", "g")]}
    if path == "/v1/responses":
        return {"input": "a", "tools": [{"type": "function", "name": name} for name in ("f", "g")]}
    return HELLO | {"max_tokens": 1, "tools": [{"name": name, "input_schema": {}} for name in ("f", "g")]}


@pytest.mark.parametrize(("path", "choice"), _CHOICES)
def test_a_chosen_tool_is_the_only_one_that_the_grammar_has(path: str, choice: dict[str, Any]) -> None:
    sent = for_engine(path, _two_tools(path) | choice)
    shown = [tool["function"]["name"] for tool in sent["chat_template_kwargs"]["tools"]]
    assert shown == ["f", "g"]
    assert "tools" not in sent and "tool_choice" not in sent
    assert '"g' in sent["grammar"].replace("\\", "") and '"f"' not in sent["grammar"].replace("\\", "")


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages"])
def test_tools_that_may_be_called_reach_the_engine_as_outlines_and_the_prompt_whole(path: str) -> None:
    whole = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x+$", "minLength": 1}}}
    outline = {"type": "object", "properties": {"a": {"type": "string"}}}
    body = _two_tools(path)
    for tool in body["tools"]:
        tool.get("function", tool)["input_schema" if path == "/v1/messages" else "parameters"] = whole
    sent = for_engine(path, body)
    assert "grammar" not in sent
    shown = [tool["function"]["parameters"] for tool in sent["chat_template_kwargs"]["tools"]]
    assert shown == [whole, whole]
    tools = [tool.get("function", tool) for tool in sent["tools"]]
    assert [tool.get("parameters", tool.get("input_schema")) for tool in tools] == [outline, outline]


def test_what_changes_nothing_is_left_out() -> None:
    harmless = {"modalities": ["text"], "metadata": {"a": "b"}, "service_tier": "auto", "verbosity": "low"}
    more = {"prompt_cache_key": "a", "safety_identifier": "b", "store": False, "functions": None}
    assert for_engine(CHAT, HELLO | harmless | more) == HELLO


def test_a_refusal_is_what_was_said() -> None:
    part = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}
    messages = [{"role": "assistant", "content": None, "refusal": "no"}, part, *HELLO["messages"]]
    sent = for_engine(CHAT, {"messages": messages})["messages"]
    assert sent[:-1] == [
        {"role": "assistant", "content": "no"},
        {"role": "assistant", "content": [{"type": "text", "text": "no"}]},
    ]


def test_thoughts_that_nobody_can_read_are_dropped() -> None:
    redacted = {"type": "redacted_thinking", "data": "x"}
    text = {"type": "text", "text": "a"}
    contents = ([redacted, text], [redacted], [])
    messages = [{"role": "assistant", "content": content} for content in contents]
    body = {"max_tokens": 1, "messages": [*messages, *HELLO["messages"]]}
    sent = for_engine("/v1/messages", body)["messages"]
    assert [turn["content"] for turn in sent[:-1]] == [[text], "", ""]


def test_documents_may_be_objects() -> None:
    sent = for_engine("/v1/rerank", {"query": "a", "documents": ["b", {"text": "c", "id": 5}]})
    assert sent["documents"] == ["b", "c"]


def test_a_function_of_responses_may_be_without_parameters() -> None:
    for tool in ({"parameters": None, "strict": None}, {}):
        sent = for_engine(
            "/v1/responses", {"input": "a", "tools": [{"type": "function", "name": "f", **tool}]}
        )
        assert sent["tools"][0]["parameters"] == {"type": "object"}
