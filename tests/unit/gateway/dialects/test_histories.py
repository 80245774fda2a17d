"""Conversations and tools as agents send them: what another program wrote is no reason to refuse the request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.dialects.hosted_tools import known_name
from tests.unit.gateway.dialects.all_routes import ROUTES

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
USER = {"role": "user", "content": "Hi"}
URL = "data:image/png;base64,AAAA"


def prepare(path: str, body: dict[str, Any]) -> tuple[Body, dict[str, Any]]:
    more = {"max_tokens": 8} if path == MESSAGES else {}
    parsed, engine = ROUTES[path].dialect.prepare(json.dumps(more | body).encode())
    return parsed, json.loads(engine.body)


def sent_arguments(path: str, arguments: str) -> str:
    if path == CHAT:
        call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
        result = {"role": "tool", "tool_call_id": "a", "content": "5"}
        _, sent = prepare(path, {"messages": [USER, {"role": "assistant", "tool_calls": [call]}, result]})
        return str(sent["messages"][1]["tool_calls"][0]["function"]["arguments"])
    item = {"type": "function_call", "call_id": "a", "name": "f", "arguments": arguments}
    output = {"type": "function_call_output", "call_id": "a", "output": "5"}
    _, sent = prepare(path, {"input": [USER, item, output]})
    return str(sent["messages"][1]["tool_calls"][0]["function"]["arguments"])


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("", {}),
        ("  \n", {}),
        ("null", {}),
        ('""', {}),
        ('{"a": 1}', {"a": 1}),
        ('{"a": "hel', {"arguments": '{"a": "hel'}),
        ("{'a': 1}", {"arguments": "{'a': 1}"}),
        ("[1, 2]", {"arguments": [1, 2]}),
        ("5", {"arguments": 5}),
        ('{"a": "\\ud800"}', {"arguments": '{"a": "\\ud800"}'}),
        ('{"a": NaN}', {"arguments": '{"a": NaN}'}),
    ],
)
def test_arguments_of_an_earlier_call_are_an_object(
    path: str, arguments: str, wanted: dict[str, Any]
) -> None:
    assert json.loads(sent_arguments(path, arguments)) == wanted


@given(st.text(max_size=40).filter(lambda text: text.count("[") + text.count("{") < 30))
def test_any_text_is_taken_for_arguments(arguments: str) -> None:
    assert isinstance(json.loads(sent_arguments(CHAT, arguments)), dict)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            CHAT,
            {
                "messages": [
                    USER,
                    {
                        "role": "tool",
                        "tool_call_id": "a",
                        "content": [{"type": "image_url", "image_url": {"url": URL}}],
                    },
                ]
            },
        ),
        (
            RESPONSES,
            {
                "input": [
                    USER,
                    {
                        "type": "function_call_output",
                        "call_id": "a",
                        "output": [{"type": "input_image", "image_url": URL}],
                    },
                ]
            },
        ),
        (
            MESSAGES,
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "a",
                                "content": [
                                    {
                                        "type": "image",
                                        "source": {
                                            "type": "base64",
                                            "media_type": "image/png",
                                            "data": "AAAA",
                                        },
                                    }
                                ],
                            }
                        ],
                    }
                ]
            },
        ),
    ],
)
def test_an_image_in_the_result_of_a_tool_is_seen(path: str, body: dict[str, Any]) -> None:
    assert prepare(path, body)[0].has_images


def _document(source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **more}


@pytest.mark.parametrize("is_in_result", [False, True])
@pytest.mark.parametrize(
    ("document", "texts"),
    [
        (_document({"type": "text", "media_type": "text/plain", "data": "Words."}), ["Words."]),
        (_document({"type": "text", "data": "Words."}, title="T", context="C"), ["T", "C", "Words."]),
        (_document({"type": "content", "content": "Words."}, citations={"enabled": True}), ["Words."]),
        (
            _document(
                {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
            ),
            ["a", "b"],
        ),
    ],
)
def test_a_document_of_text_is_read(document: dict[str, Any], texts: list[str], is_in_result: bool) -> None:
    content = (
        [{"type": "tool_result", "tool_use_id": "a", "content": [document]}] if is_in_result else [document]
    )
    _, sent = prepare(MESSAGES, {"messages": [{"role": "user", "content": content}]})
    assert sent["messages"][0]["role"] == ("tool" if is_in_result else "user")
    assert sent["messages"][0]["content"] == "\n\n".join(texts)


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
        {"type": "url", "url": "https://example.org/a.pdf"},
        {"type": "file", "file_id": "f"},
        {},
    ],
)
def test_a_document_of_another_kind_is_refused_by_its_place(source: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare(MESSAGES, {"messages": [{"role": "user", "content": [_document(source)]}]})
    assert caught.value.param == "messages[0].content[0].source"


FUNCTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    CHAT: ({"messages": [USER]}, {"type": "function", "function": {"name": "f"}}),
    RESPONSES: ({"input": "a"}, {"type": "function", "name": "f"}),
    MESSAGES: ({"messages": [USER]}, {"name": "f", "input_schema": {"type": "object"}}),
}
HOSTED: list[dict[str, Any]] = [
    {"type": "web_search"},
    {"type": "namespace", "name": "x", "tools": [{"type": "function", "name": "g"}]},
    {"type": "local_shell"},
    {"type": "bash_20250124", "name": "bash"},
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"type": "mcp", "server_label": "x", "server_url": "https://example.org"},
    {"type": "something_new_of_tomorrow"},
]


@pytest.mark.parametrize("path", list(FUNCTIONS))
@pytest.mark.parametrize("hosted", HOSTED, ids=lambda tool: tool["type"])
def test_a_hosted_tool_beside_a_function_is_left_out(path: str, hosted: dict[str, Any]) -> None:
    base, function = FUNCTIONS[path]
    body, sent = prepare(path, base | {"tools": [hosted, function, hosted]})
    assert body.unsupported_tools == [hosted["type"]] * 2
    _, alone = prepare(path, base | {"tools": [function]})
    assert sent == alone


@pytest.mark.parametrize("path", list(FUNCTIONS))
@pytest.mark.parametrize("hosted", HOSTED, ids=lambda tool: tool["type"])
def test_a_hosted_tool_alone_is_refused_by_its_type(path: str, hosted: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare(path, FUNCTIONS[path][0] | {"tools": [hosted]})
    assert caught.value.param == "tools[0].type" and hosted["type"] in caught.value.message


def test_a_custom_tool_of_openais_is_hosted_and_of_anthropics_a_function() -> None:
    for path in (CHAT, RESPONSES):
        base, function = FUNCTIONS[path]
        custom = {"type": "custom", "name": "x", "custom": {"name": "x"}}
        assert prepare(path, base | {"tools": [custom, function]})[0].unsupported_tools == ["custom"]
    base, function = FUNCTIONS[MESSAGES]
    assert not prepare(MESSAGES, base | {"tools": [function | {"type": "custom"}]})[0].unsupported_tools


def test_a_client_cannot_tell_what_was_left_out() -> None:
    body, sent = prepare(CHAT, {"messages": [USER], "unsupported_tools": "y"})
    assert body.unsupported_tools == [] and sent == {"messages": [USER]}


def test_logs_and_metrics_have_published_names_only() -> None:
    assert [known_name(tool["type"]) for tool in HOSTED] == [
        *("web_search", "namespace", "local_shell", "bash", "web_search", "text_editor", "mcp", "other"),
    ]
    assert known_name("my secret_20250101") == known_name("\n") == "other"
