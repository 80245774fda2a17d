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
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
IMAGE_DOCUMENT = {"type": "document", "source": {"type": "content", "content": [IMAGE]}}


def prepare(path: str, body: dict[str, Any]) -> tuple[Body, dict[str, Any]]:
    more = {"max_tokens": 8} if path == MESSAGES else {}
    parsed, engine = ROUTES[path].dialect.prepare(json.dumps(more | body).encode())
    return parsed, json.loads(engine.body)


ABSENT: Any = object()


def sent_arguments(path: str, arguments: Any) -> str:
    given = {} if arguments is ABSENT else {"input" if path == MESSAGES else "arguments": arguments}
    if path == CHAT:
        call = {"id": "a", "type": "function", "function": {"name": "f"} | given}
        result = {"role": "tool", "tool_call_id": "a", "content": "5"}
        _, sent = prepare(path, {"messages": [USER, {"role": "assistant", "tool_calls": [call]}, result]})
        return str(sent["messages"][1]["tool_calls"][0]["function"]["arguments"])
    if path == MESSAGES:
        use = {"type": "tool_use", "id": "a", "name": "f"} | given
        found = {"type": "tool_result", "tool_use_id": "a", "content": "5"}
        turns = [USER, {"role": "assistant", "content": [use]}, {"role": "user", "content": [found]}]
        _, sent = prepare(path, {"messages": turns})
        return str(sent["messages"][1]["tool_calls"][0]["function"]["arguments"])
    item = {"type": "function_call", "call_id": "a", "name": "f"} | given
    output = {"type": "function_call_output", "call_id": "a", "output": "5"}
    _, sent = prepare(path, {"input": [USER, item, output]})
    return str(sent["messages"][1]["tool_calls"][0]["function"]["arguments"])


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
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
        # not text at all
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
        (None, {}),
        (ABSENT, {}),
        ([1, 2], {"arguments": [1, 2]}),
        (5, {"arguments": 5}),
    ],
)
def test_arguments_of_an_earlier_call_are_an_object(
    path: str, arguments: Any, wanted: dict[str, Any]
) -> None:
    assert json.loads(sent_arguments(path, arguments)) == wanted


@given(st.text(max_size=40).filter(lambda text: text.count("[") + text.count("{") < 30))
def test_any_text_is_taken_for_arguments(arguments: str) -> None:
    assert isinstance(json.loads(sent_arguments(CHAT, arguments)), dict)


def test_a_call_of_a_custom_tool_is_one_of_a_function() -> None:
    call = {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls\n"}}
    result = {"role": "tool", "tool_call_id": "a", "content": "x"}
    _, sent = prepare(CHAT, {"messages": [USER, {"role": "assistant", "tool_calls": [call]}, result]})
    function = {"name": "shell", "arguments": '{"input":"ls\\n"}'}
    assert sent["messages"][1]["tool_calls"] == [{"id": "a", "type": "function", "function": function}]
    with pytest.raises(InvalidRequest) as caught:
        prepare(CHAT, {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "a"}]}, result]})
    assert caught.value.param == "messages[1].tool_calls[0].function"


@pytest.mark.parametrize("content", [None, "", [], ABSENT])
def test_a_tool_may_have_returned_nothing_and_a_model_may_have_said_nothing(content: Any) -> None:
    given = {} if content is ABSENT else {"content": content}
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant"} | given
    messages = [
        USER,
        said | {"tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a"} | given,
        said,
        USER,
    ]
    _, sent = prepare(CHAT, {"messages": messages})
    assert [message.get("content") or "" for message in sent["messages"]] == ["Hi", "", "", "", "Hi"]
    assert sent["messages"][2]["content"] == ""


def test_a_tool_that_a_search_found_is_named() -> None:
    found = [{"type": "tool_reference", "tool_name": name} for name in ("f", "g")]
    result = {"type": "tool_result", "tool_use_id": "a", "content": found}
    _, sent = prepare(MESSAGES, {"messages": [{"role": "user", "content": [result]}]})
    assert sent["messages"][0]["content"] == "Tool: f\n\nTool: g"


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
        (MESSAGES, {"messages": [{"role": "user", "content": [IMAGE_DOCUMENT]}]}),
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


ALLOWED: dict[str, Any] = {
    CHAT: lambda tools: {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": tools}},
    RESPONSES: lambda tools: {"type": "allowed_tools", "mode": "required", "tools": tools},
}


@pytest.mark.parametrize("path", list(ALLOWED))
@pytest.mark.parametrize("hosted", HOSTED, ids=lambda tool: tool["type"])
def test_a_hosted_tool_among_the_allowed_ones_is_left_out(path: str, hosted: dict[str, Any]) -> None:
    base, function = FUNCTIONS[path]
    tools = {"tools": [function, hosted]}
    body, sent = prepare(path, base | tools | {"tool_choice": ALLOWED[path]([hosted, function, hosted])})
    _, alone = prepare(path, base | tools | {"tool_choice": ALLOWED[path]([function])})
    assert sent == alone and body.unsupported_tools == [hosted["type"]]
    with pytest.raises(InvalidRequest) as caught:
        prepare(path, base | tools | {"tool_choice": ALLOWED[path]([hosted])})
    assert str(caught.value.param).endswith("tools") and hosted["type"] in caught.value.message


def test_the_choice_of_a_hosted_tool_names_its_type() -> None:
    base, function = FUNCTIONS[MESSAGES]
    tools = {"tools": [function, {"type": "bash_20250124", "name": "bash"}]}
    with pytest.raises(InvalidRequest) as caught:
        prepare(MESSAGES, base | tools | {"tool_choice": {"type": "tool", "name": "bash"}})
    assert caught.value.param == "tool_choice.name" and "bash_20250124" in caught.value.message
    for path in (CHAT, RESPONSES):
        base, function = FUNCTIONS[path]
        with pytest.raises(InvalidRequest) as caught:
            choice = {"tool_choice": {"type": "web_search"}}
            prepare(path, base | {"tools": [function, {"type": "web_search"}]} | choice)
        assert caught.value.param == "tool_choice.type" and "web_search" in caught.value.message


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
