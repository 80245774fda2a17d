"""A conversation that ends with an assistant's message: the client gets what was generated and nothing else.

The engine's answers here are copies of real ones; `tests/e2e/test_prefill.py` asks the real engine.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.gateway.routes import ROUTES
from foundrylocal.gateway.stats.request_stats import RequestStats

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
USER = {"role": "user", "content": "Say hello."}
PARTS = [{"type": "text", "text": "Well, "}, {"type": "text", "text": "hello"}]
OUTPUT = [{"type": "output_text", "text": "Well, "}, {"type": "output_text", "text": "hello"}]


def body_of(path: str, last: dict[str, Any]) -> dict[str, Any]:
    field, more = ("input", {}) if path == RESPONSES else ("messages", {"max_tokens": 8})
    return {field: [USER, last], **more}


def prepare(path: str, last: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    body, engine = ROUTES[path].dialect.prepare(json.dumps(body_of(path, last)).encode())
    return body, json.loads(engine.body)


def whole(path: str, last: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    body, _ = prepare(path, last)
    raw = body.prefill.remove_from_answer(json.dumps(answer).encode())
    return dict(ROUTES[path].dialect.whole(raw, body, RequestStats("/x", 0.0)))


def of_chat(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    return {"id": "chatcmpl-a", "choices": [choice], "usage": {}}


def of_messages(*content: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    return {"id": "chatcmpl-a", "content": list(content), "usage": usage, "stop_reason": "end_turn"}


def of_responses(text: str) -> dict[str, Any]:
    item = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": text}]}
    return {"id": "r", "status": "completed", "output": [item]}


@pytest.mark.parametrize("content", ["Well, hello", PARTS])
def test_a_chat_has_only_what_was_generated(content: Any) -> None:
    answer = whole(CHAT, {"role": "assistant", "content": content}, of_chat(content="Well, hello there"))
    assert answer["choices"][0]["message"]["content"] == " there"


def test_thoughts_that_were_begun_are_continued() -> None:
    last = {"role": "assistant", "content": "", "reasoning_content": "The user"}
    message = whole(CHAT, last, of_chat(content="Hi", reasoning_content="The user greets"))["choices"][0][
        "message"
    ]
    assert (message["content"], message["reasoning_content"]) == ("Hi", " greets")


def test_thoughts_before_a_text_that_was_begun_are_not_repeated() -> None:
    last = {"role": "assistant", "content": "Well", "reasoning_content": "The user"}
    message = whole(CHAT, last, of_chat(content="Well.", reasoning_content="The user\n"))["choices"][0][
        "message"
    ]
    assert message["content"] == "." and "reasoning_content" not in message


@pytest.mark.parametrize("content", ["Well, hello", PARTS])
def test_a_message_has_only_what_was_generated(content: Any) -> None:
    text = {"type": "text", "text": "Well, hello there"}
    answer = whole(MESSAGES, {"role": "assistant", "content": content}, of_messages(text))
    assert [block["text"] for block in answer["content"]] == [" there"]


def test_a_message_does_not_repeat_its_thoughts() -> None:
    content = [{"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "text", "text": "Well"}]
    blocks = ({"type": "thinking", "thinking": "Hm\n"}, {"type": "text", "text": "Well, hello"})
    answer = whole(MESSAGES, {"role": "assistant", "content": content}, of_messages(*blocks))
    assert [(block["type"], block.get("text")) for block in answer["content"]] == [("text", ", hello")]


@pytest.mark.parametrize("content", ["Well, hello", OUTPUT])
def test_a_response_has_only_what_was_generated(content: Any) -> None:
    answer = whole(RESPONSES, {"role": "assistant", "content": content}, of_responses("Well, hello there"))
    assert answer["output"][0]["content"][0]["text"] == " there"


def test_the_closing_events_of_a_response_have_only_what_was_generated() -> None:
    last = {"role": "assistant", "content": "Well, hello"}
    body, _ = prepare(RESPONSES, last)
    part = {"type": "output_text", "text": "Well, hello there"}
    item = {"type": "message", "id": "m", "content": [part]}
    response = {"id": "r", "status": "completed", "output": [item]}
    events: list[dict[str, Any]] = [
        {"type": "response.output_text.delta", "item_id": "m", "delta": " there"},
        {"type": "response.output_text.done", "item_id": "m", "text": "Well, hello there"},
        {"type": "response.content_part.done", "item_id": "m", "part": part},
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": response},
    ]
    raw = b"".join(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events)
    rewrite = ROUTES[RESPONSES].dialect.stream(body, RequestStats("/x", 0.0))
    assert b"Well, hello" not in rewrite(body.prefill.remove_from_events(raw)).replace(b'"input"', b"")
    assert raw.count(b"Well, hello there") == 4


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
def test_an_empty_last_message_begins_nothing(path: str) -> None:
    for content in ("", []) if path == MESSAGES else ("",):
        body, sent = prepare(path, {"role": "assistant", "content": content})
        assert not body.prefill
        assert len(sent["input" if path == RESPONSES else "messages"]) == 1


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES])
def test_a_conversation_that_ends_with_its_user_begins_nothing(path: str) -> None:
    body, _ = prepare(path, {"role": "user", "content": "Well"})
    assert not body.prefill


def test_a_last_message_with_calls_begins_nothing() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body, _ = prepare(CHAT, {"role": "assistant", "content": "Ok", "tool_calls": [call]})
    assert not body.prefill
