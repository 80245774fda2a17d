"""Logprobs name the tokens that were generated. The engine's answers are copies of real ones, stop string and all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.gateway.stats.request_stats import RequestStats
from tests.unit.gateway.dialects.all_routes import ROUTES

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
IDS = {"o": 1, "ne": 2, " ": 3, "t": 4, "w": 5, "th": 6, "": 7, "r": 8}


def piece(token: str) -> dict[str, Any]:
    return {"id": IDS[token], "token": token, "bytes": list(token.encode()), "logprob": -0.5}


def entry(token: str, shown: str, *, is_known: bool = True) -> dict[str, Any]:
    """What the engine reports for a token; `is_known` when it is among its own alternatives."""
    tops = [piece("ne"), piece(token)] if is_known else [piece("ne")]
    return piece(token) | {"token": shown, "bytes": list(shown.encode()), "top_logprobs": tops}


# "one two three" with the stop string "thr", as the engine reports it.
STOPPED = [
    *(entry("o", "o"), entry("ne", "ne"), entry(" ", " ")),
    *(entry("t", ""), entry("w", "tw"), entry("o", "o"), entry(" ", " "), entry("th", "")),
]
NAMES = ["o", "ne", " ", "t", "w", "o", " "]
ENDED = [entry("o", "o"), entry("ne", "ne"), entry("", "")]


def whole(path: str, body: dict[str, Any], text: str, entries: list[Any], finish: str = "stop") -> Any:
    dialect = ROUTES[path].dialect
    parsed, _ = dialect.prepare(json.dumps(body).encode())
    said = {"message": {"role": "assistant", "content": text}} if path == CHAT else {"text": text}
    choice = {"index": 0, "finish_reason": finish, "logprobs": {"content": entries}, **said}
    raw = json.dumps({"id": "chatcmpl-a", "choices": [choice], "usage": {}}).encode()
    return dialect.whole(raw, parsed, RequestStats("/x", 0.0))["choices"][0]


@pytest.mark.parametrize("top", [0, 1])
def test_a_chat_with_a_stop_string_names_its_tokens(top: int) -> None:
    body = HELLO | {"logprobs": True, "top_logprobs": top, "stop": "thr"}
    found = whole(CHAT, body, "one two ", STOPPED)["logprobs"]["content"]
    assert [one["token"] for one in found] == NAMES
    assert b"".join(bytes(one["bytes"]) for one in found) == b"one two "
    assert all(len(one["top_logprobs"]) == top for one in found)


def test_a_text_with_a_stop_string_names_its_tokens() -> None:
    found = whole(TEXT, {"prompt": "a", "logprobs": 0, "stop": ["thr"]}, "one two ", STOPPED)["logprobs"]
    assert found["tokens"] == NAMES
    assert found["text_offset"] == [0, 1, 3, 4, 5, 6, 7]


def test_a_token_that_begins_before_the_stop_string_is_named() -> None:
    entries = [entry("o", "o"), entry("th", "")]
    found = whole(CHAT, HELLO | {"logprobs": True, "stop": "h"}, "ot", entries)["logprobs"]["content"]
    assert [one["token"] for one in found] == ["o", "th"]


def test_a_piece_that_nothing_tells_is_what_the_others_leave() -> None:
    entries = [entry("t", ""), entry("w", "tw", is_known=False)]
    found = whole(CHAT, HELLO | {"logprobs": True, "stop": "thr"}, "tw", entries)["logprobs"]["content"]
    assert [one["token"] for one in found] == ["t", "w"]


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_the_end_of_an_answer_is_no_token_of_it(path: str) -> None:
    body = HELLO | {"logprobs": True} if path == CHAT else {"prompt": "a", "logprobs": 1}
    found = whole(path, body, "one", ENDED)["logprobs"]
    assert ([one["token"] for one in found["content"]] if path == CHAT else found["tokens"]) == ["o", "ne"]


def test_the_engine_is_asked_for_what_names_a_token() -> None:
    for path, body, field in (
        (CHAT, HELLO | {"logprobs": True}, "top_logprobs"),
        (TEXT, {"prompt": "a", "logprobs": 0}, "logprobs"),
    ):
        for stop, wanted in ((None, 1), (["a"], 20)):
            engine = json.loads(
                ROUTES[path].dialect.prepare(json.dumps(body | {"stop": stop}).encode())[1].body
            )
            assert engine[field] == wanted


def test_a_stream_of_text_names_its_tokens() -> None:
    dialect = ROUTES[TEXT].dialect
    body, _ = dialect.prepare(
        json.dumps({"prompt": "a", "logprobs": 1, "stop": ["thr"], "stream": True}).encode()
    )
    rewrite = dialect.stream(body, RequestStats("/x", 0.0))
    tokens: list[str] = []
    offsets: list[int] = []
    for one in STOPPED:
        choice = {"index": 0, "text": one["token"], "finish_reason": None, "logprobs": {"content": [one]}}
        block = rewrite(b"data: " + json.dumps({"id": "chatcmpl-a", "choices": [choice]}).encode() + b"\n\n")
        found = json.loads(block[6:])["choices"][0]["logprobs"]
        tokens += found["tokens"]
        offsets += found["text_offset"]
    assert (tokens, offsets) == (NAMES, [0, 1, 3, 4, 5, 6, 7])


def test_a_character_that_was_cut_is_left_out_as_in_a_stream() -> None:
    body = {"prompt": "a", "logprobs": 1}
    cut = whole(TEXT, body, "o\N{REPLACEMENT CHARACTER}", [entry("o", "o")], finish="length")
    assert (cut["text"], cut["logprobs"]["tokens"]) == ("o", ["o"])
    assert whole(TEXT, body, "o\N{REPLACEMENT CHARACTER}", [], finish="stop")["text"].endswith("\ufffd")


@pytest.mark.parametrize("has_usage", [False, True])
def test_a_chat_stream_with_a_stop_string_is_made_of_the_whole_answer(has_usage: bool) -> None:
    fields: dict[str, Any] = {"logprobs": True, "stop": "thr", "stream": True}
    if has_usage:
        fields["stream_options"] = {"include_usage": True}
    dialect = ROUTES[CHAT].dialect
    body, engine = dialect.prepare(json.dumps(HELLO | fields).encode())
    assert json.loads(engine.body)["stream"] is False and "stream_options" not in json.loads(engine.body)
    choice = {"index": 0, "finish_reason": "stop", "logprobs": {"content": STOPPED}}
    choice["message"] = {"role": "assistant", "content": "one two "}
    raw = json.dumps({"id": "chatcmpl-a", "choices": [choice], "usage": {"total_tokens": 5}}).encode()
    events = dialect.as_stream(dialect.whole(raw, body, RequestStats("/x", 0.0)), body)
    assert events is not None and events.endswith(b"data: [DONE]\n\n")
    chunks = [json.loads(event[6:]) for event in events.split(b"\n\n") if event.startswith(b"data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(one["delta"].get("content") or "" for one in choices) == "one two "
    assert [t["token"] for one in choices for t in (one["logprobs"] or {"content": []})["content"]] == NAMES
    assert [one["finish_reason"] for one in choices][-1] == "stop"
    assert [chunk.get("usage") for chunk in chunks][-1] == ({"total_tokens": 5} if has_usage else None)


def test_other_chat_streams_come_as_they_are_made() -> None:
    for fields in ({"logprobs": True}, {"stop": "thr"}):
        dialect = ROUTES[CHAT].dialect
        body, engine = dialect.prepare(json.dumps(HELLO | fields | {"stream": True}).encode())
        assert json.loads(engine.body)["stream"] is True and dialect.as_stream({}, body) is None
