"""Anthropic's messages as chats, and chats as messages; the published schemas are checked elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.errors import InvalidRequest
from foundrylocal.gateway.routes import error_dialect
from tests.unit.gateway.dialects.all_routes import ROUTES
from tests.unit.gateway.dialects.by_chat import delta, ending, messages_to_engine, stream, to_engine, whole

Json = dict[str, Any]
PATH = "/v1/messages"
TOOL: Json = {"name": "look", "input_schema": {"type": "object"}}


def body(*turns: Json, **fields: Any) -> Json:
    return {"max_tokens": 5, "messages": list(turns) or [user("Hi")], **fields}


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def assistant(content: Any) -> Json:
    return {"role": "assistant", "content": content}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def test_turns_of_one_role_in_a_row_are_one_message() -> None:
    asked = body(user("a"), user([text("b"), text("c")]), {"role": "system", "content": "d"}, assistant("e"))
    assert messages_to_engine(PATH, asked) == [user("a\n\nb\n\nc\n\nd"), assistant("e")]


def test_the_line_of_a_system_prompt_that_changes_each_time_is_left_out() -> None:
    billing = "x-anthropic-billing-header: cc_version=2.1; cch=a5145;"
    for system in ([text(billing), text("Be brief.")], f"{billing}\nBe brief."):
        assert messages_to_engine(PATH, body(system=system))[0] == {"role": "system", "content": "Be brief."}


def test_a_call_and_its_result() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": 5}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [text("5")]}
    thought = {"type": "thinking", "thinking": "Let me see", "signature": "x"}
    sent = messages_to_engine(
        PATH, body(user("a"), assistant([thought, text("b"), call]), user([text("c"), result]))
    )
    function = {"name": "look", "arguments": '{"a":5}'}
    assert sent[1:] == [
        {
            "role": "assistant",
            "content": "b",
            "tool_calls": [{"function": function, "id": "t1", "type": "function"}],
            "reasoning_content": "Let me see",
        },
        {"role": "tool", "content": "5", "tool_call_id": "t1"},
        user("c"),
    ]


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "b"}}, "b"),
        ({"type": "document", "title": "T", "source": {"type": "content", "content": [text("b")]}}, "T\n\nb"),
        ({"type": "search_result", "source": "s", "title": "T", "content": [text("b")]}, "T (s)\n\nb"),
        ({"type": "web_search_tool_result", "tool_use_id": "x", "content": []}, None),
        ({"type": "redacted_thinking", "data": "x"}, None),
    ],
)
def test_blocks_that_are_not_plain_text(block: Json, wanted: str | None) -> None:
    (sent,) = messages_to_engine(PATH, body(user([text("a"), block])))
    assert sent == user("a" if wanted is None else f"a\n\n{wanted}")


def test_an_assistants_turn_may_be_empty() -> None:
    for content in ("", [], [{"type": "redacted_thinking", "data": "x"}]):
        sent = messages_to_engine(PATH, body(user("a"), assistant(content), user("b")))
        assert sent == [user("a"), assistant(""), user("b")]


def test_images_are_seen_in_the_results_of_tools_too() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text("b"), image]}
    (sent,) = messages_to_engine(PATH, body(user([result])))
    assert [part["type"] for part in sent["content"]] == ["text", "image_url"]


def test_tools_of_anthropic_beside_ones_own_are_left_out() -> None:
    hosted = {"type": "web_search_20250305", "name": "web_search"}
    assert [tool["function"]["name"] for tool in to_engine(PATH, body(tools=[hosted, TOOL]))["tools"]] == [
        "look"
    ]


def test_thinking() -> None:
    budget = {"type": "enabled", "budget_tokens": 1024}
    assert to_engine(PATH, body(thinking=budget))["thinking_budget_tokens"] == 1024
    assert to_engine(PATH, body(thinking={"type": "disabled"}))["chat_template_kwargs"] == {
        "enable_thinking": False
    }
    assert not to_engine(PATH, body(thinking={"type": "adaptive"})).keys() & {
        "thinking",
        "chat_template_kwargs",
    }


def test_a_thread_is_refused_in_the_words_that_clients_read() -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_engine(PATH, body(thread={"type": "create"}))
    error = error_dialect(PATH, ROUTES).error_body(caught.value)["error"]
    assert (error["type"], error["details"]) == (
        "invalid_request_error",
        {"error_code": "thread_unsupported_request"},
    )


@pytest.mark.parametrize(
    ("reason", "word", "wanted"),
    [
        ("stop", "", ("end_turn", None)),
        ("stop", "o", ("stop_sequence", "o")),
        ("length", "", ("max_tokens", None)),
        ("tool_calls", "", ("tool_use", None)),
    ],
)
def test_why_it_ended(reason: str, word: str, wanted: tuple[str, str | None]) -> None:
    schema = {"type": "json_schema", "schema": {"type": "object"}}
    for fields in ({}, {"output_config": {"format": schema}}):
        asked = body(stop_sequences=["x", "o"], **fields)
        answer = whole(PATH, asked, {"content": "{"}, reason, stopping_word=word)
        assert (answer["stop_reason"], answer["stop_sequence"]) == wanted
        *_, ended, _ = stream(PATH, asked, delta(content="{"), *ending(reason, word))
        assert (ended["delta"]["stop_reason"], ended["delta"]["stop_sequence"]) == wanted


def test_a_whole_message() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"a": 5}'}}
    message = {"content": "I will look.", "reasoning_content": "Hm.", "tool_calls": [call]}
    answer = whole(PATH, body(), message, "tool_calls")
    assert [block["type"] for block in answer["content"]] == ["thinking", "text", "tool_use"]
    assert "citations" not in answer["content"][1]
    assert answer["content"][2]["input"] == {"a": 5}
    usage = answer["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (5, 2, 4)


def test_one_block_is_open_at_a_time() -> None:
    call = {"index": 0, "id": "1", "function": {"name": "look"}}
    piece = {"index": 0, "function": {"arguments": "{}"}}
    chunks = [delta(role="assistant", content=None), delta(reasoning_content="Hm."), delta(content="a")]
    chunks += [delta(content="b"), delta(tool_calls=[call]), delta(tool_calls=[piece])]
    events = stream(PATH, body(), *chunks, *ending("tool_calls"))
    open_block, indexes = None, []
    for event in events:
        if event["type"] == "content_block_start":
            assert open_block is None
            open_block = event["index"]
            indexes.append(open_block)
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block
            open_block = None
    assert indexes == [0, 1, 2]
    assert json.dumps(events).count('"text_delta"') == 2


def test_the_prompts_tokens_are_in_the_first_event() -> None:
    progress = delta(role="assistant", content=None) | {"prompt_progress": {"total": 9, "cache": 3}}
    first, *_ = stream(PATH, body(), progress, delta(content="a"), *ending())
    usage = first["message"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (6, 3, 0)
