"""A conversation that ends with an assistant's message: the client gets what was generated and nothing else.

The engine's answers here are copies of real ones; `tests/e2e/test_prefill.py` asks the real engine.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.stats.request_stats import RequestStats
from tests.unit.gateway.dialects.all_routes import ROUTES

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
USER = {"role": "user", "content": "Say hello."}
PARTS = [{"type": "text", "text": "Well, "}, {"type": "text", "text": "hello"}]
OUTPUT = [{"type": "output_text", "text": "Well, "}, {"type": "output_text", "text": "hello"}]


def body_of(path: str, last: dict[str, Any]) -> dict[str, Any]:
    field, more = (
        ("input", {}) if path == RESPONSES else ("messages", {"max_tokens": 8} if path == MESSAGES else {})
    )
    if path == "/api/chat":
        more = {"model": "x", "stream": False}
    return {field: [USER, last], **more}


def prepare(path: str, last: dict[str, Any]) -> tuple[EngineRequest, dict[str, Any]]:
    _, engine = ROUTES[path].dialect.prepare(json.dumps(body_of(path, last)).encode())
    return engine, json.loads(engine.body)


def whole(path: str, last: dict[str, Any], **message: Any) -> dict[str, Any]:
    """The client's answer to the engine's message."""
    body, engine = ROUTES[path].dialect.prepare(json.dumps(body_of(path, last)).encode())
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    answer = {"id": "chatcmpl-a", "choices": [choice], "usage": {}}
    raw = engine.prefill.remove_from_answer(json.dumps(answer).encode())
    return dict(ROUTES[path].dialect.whole(raw, body, RequestStats("/x", 0.0)))


@pytest.mark.parametrize("content", ["Well, hello", PARTS])
def test_a_chat_has_only_what_was_generated(content: Any) -> None:
    answer = whole(CHAT, {"role": "assistant", "content": content}, content="Well, hello there")
    assert answer["choices"][0]["message"]["content"] == " there"


def test_thoughts_that_were_begun_are_continued() -> None:
    last = {"role": "assistant", "content": "", "reasoning_content": "The user"}
    answer = whole(CHAT, last, content="Hi", reasoning_content="The user greets")
    message = answer["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hi", " greets")


def test_thoughts_before_a_text_that_was_begun_are_not_repeated() -> None:
    last = {"role": "assistant", "content": "Well", "reasoning_content": "The user"}
    message = whole(CHAT, last, content="Well.", reasoning_content="The user\n")["choices"][0]["message"]
    assert message["content"] == "." and "reasoning_content" not in message


@pytest.mark.parametrize("content", ["Well, hello", PARTS])
def test_a_message_has_only_what_was_generated(content: Any) -> None:
    answer = whole(MESSAGES, {"role": "assistant", "content": content}, content="Well, hello there")
    assert [block["text"] for block in answer["content"]] == [" there"]


def test_a_message_does_not_repeat_its_thoughts() -> None:
    content = [{"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "text", "text": "Well"}]
    last = {"role": "assistant", "content": content}
    answer = whole(MESSAGES, last, content="Well, hello", reasoning_content="Hm\n")
    assert [(block["type"], block.get("text")) for block in answer["content"]] == [("text", ", hello")]


@pytest.mark.parametrize("content", ["Well, hello", OUTPUT])
def test_a_response_has_only_what_was_generated(content: Any) -> None:
    answer = whole(RESPONSES, {"role": "assistant", "content": content}, content="Well, hello there")
    assert answer["output"][0]["content"][0]["text"] == " there"


def text_of(path: str, answer: dict[str, Any]) -> str:
    match path:
        case "/api/chat":
            return str(answer["message"]["content"])
        case "/v1/messages":
            return "".join(block["text"] for block in answer["content"])
        case "/v1/responses":
            return "".join(item["content"][0]["text"] for item in answer["output"])
    return str(answer["choices"][0]["message"]["content"])


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, "/api/chat"])
@pytest.mark.parametrize("begun", ["Well", " Well ", "Well\n\n", "\n Well, Well", '{"a": ', "\u00e9\u00e9 "])
def test_what_a_template_trimmed_of_the_begun_text_is_not_repeated(path: str, begun: str) -> None:
    for shown in (begun, begun.rstrip(), begun.strip()):
        answer = whole(path, {"role": "assistant", "content": begun}, content=f"{shown}there Well")
        assert text_of(path, answer) == "there Well"
    # A template that shows none of it leaves nothing to remove.
    assert text_of(path, whole(path, {"role": "assistant", "content": begun}, content="there")) == "there"


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
def test_an_empty_last_message_begins_nothing(path: str) -> None:
    for content in ("", []) if path == MESSAGES else ("",):
        engine, sent = prepare(path, {"role": "assistant", "content": content})
        assert not engine.prefill
        assert len(sent["messages"]) == 1


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
def test_a_conversation_that_ends_with_its_user_begins_nothing(path: str) -> None:
    engine, _ = prepare(path, {"role": "user", "content": "Well"})
    assert not engine.prefill


def test_a_last_message_with_calls_begins_nothing() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    engine, _ = prepare(CHAT, {"role": "assistant", "content": "Ok", "tool_calls": [call]})
    assert not engine.prefill
