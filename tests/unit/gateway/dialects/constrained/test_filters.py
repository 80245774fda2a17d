"""An answer that does not keep its constraint never looks complete, in whatever form the engine sends it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.gateway.dialects.constrained.chat_calls import ChatCalls
from foundrylocal.gateway.dialects.constrained.filters import AnswerFilter, ConstraintBroken, FollowedText
from foundrylocal.gateway.limits.adherence import Adherence
from foundrylocal.gateway.limits.constraint import (
    CallableTool,
    calls_constraint,
    grammar_constraint,
    schema_constraint,
)
from foundrylocal.gateway.limits.schema_text import SchemaBudget

Json = dict[str, Any]
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
KEPT, ENDED_EARLY, BROKEN = '{"a": 5}', '{"a": 5', '{"a": "x"}'


def text_filter(*, must_end: bool = True) -> FollowedText:
    constraint = schema_constraint(SCHEMA, "schema", SchemaBudget())
    return FollowedText(Adherence(constraint, "schema"), "schema", must_end)


def call_filter(*, must_end: bool = True) -> ChatCalls:
    constraint = calls_constraint([CallableTool("f", SCHEMA, "tools[0]")], 1, SchemaBudget())
    return ChatCalls(Adherence(constraint, "tools"), "tools", must_end)


def call(arguments: str) -> str:
    return f'{{"name":"f","arguments":{arguments}}}'


def whole_chat(text: str, reason: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": reason}]}).encode()


def whole_text(text: str, reason: str) -> bytes:
    return json.dumps({"choices": [{"index": 0, "text": text, "finish_reason": reason}]}).encode()


def infill(text: str, reason: str) -> bytes:
    return json.dumps({"content": text, "stop_type": {"stop": "eos", "length": "limit"}[reason]}).encode()


def events(*chunks: Json) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def chat_stream(text: str, reason: str) -> bytes:
    pieces = [{"index": 0, "delta": {"content": letter}, "finish_reason": None} for letter in text]
    end: Json = {"index": 0, "delta": {}, "finish_reason": reason}
    return events(*({"choices": [piece]} for piece in (*pieces, end)))


def text_stream(text: str, reason: str) -> bytes:
    pieces = [{"index": 0, "text": letter, "finish_reason": None} for letter in text]
    return events(
        *({"choices": [piece]} for piece in (*pieces, {"index": 0, "text": "", "finish_reason": reason}))
    )


WHOLE = [whole_chat, whole_text, infill]
STREAMS = [chat_stream, text_stream]


def take(answer_filter: AnswerFilter, data: bytes) -> bytes:
    return answer_filter.events(data) if data.startswith(b"data: ") else answer_filter.whole(data)


@pytest.mark.parametrize("form", [*WHOLE, *STREAMS])
def test_an_answer_that_keeps_its_constraint_passes_as_it_is(form: Any) -> None:
    data = form(KEPT, "stop")
    assert take(text_filter(), data) == data


@pytest.mark.parametrize("form", [*WHOLE, *STREAMS])
@pytest.mark.parametrize("text", [ENDED_EARLY, BROKEN, f"{KEPT} and more", "", "Sure: " + KEPT])
def test_an_answer_that_the_engine_let_go_is_an_error(form: Any, text: str) -> None:
    with pytest.raises(ConstraintBroken) as caught:
        take(text_filter(), form(text, "stop"))
    assert caught.value.param == "schema"


@pytest.mark.parametrize("form", [*WHOLE, *STREAMS])
def test_one_that_a_limit_or_a_stop_sequence_cut_short_is_as_far_as_it_came(form: Any) -> None:
    cut = form(ENDED_EARLY, "length")
    assert take(text_filter(), cut) == cut
    stopped = form(ENDED_EARLY, "stop")
    assert take(text_filter(must_end=False), stopped) == stopped
    for reason, must_end in (("length", True), ("stop", False)):
        with pytest.raises(ConstraintBroken):
            take(text_filter(must_end=must_end), form(BROKEN, reason))


@pytest.mark.parametrize("form", [whole_chat, chat_stream])
def test_calls_that_were_required_are_whole_and_keep_their_schema(form: Any) -> None:
    assert b'"tool_calls"' in take(call_filter(), form(call(KEPT), "stop"))
    for text in (call(ENDED_EARLY)[:-1], call(BROKEN), "Hello", ""):
        with pytest.raises(ConstraintBroken) as caught:
            take(call_filter(), form(text, "stop"))
        assert caught.value.param == "tools"


def test_each_answer_of_several_is_followed_by_itself() -> None:
    def both(second: str) -> bytes:
        choices = [
            {"index": n, "text": text, "finish_reason": "stop"} for n, text in enumerate((KEPT, second))
        ]
        return json.dumps({"choices": choices}).encode()

    assert take(text_filter(), both(KEPT)) == both(KEPT)
    for second in (ENDED_EARLY, BROKEN):
        with pytest.raises(ConstraintBroken):
            take(text_filter(), both(second))


def test_a_character_that_the_limit_cut_breaks_nothing() -> None:
    constraint = grammar_constraint('root ::= "a\U0001f917"', "grammar")
    followed = FollowedText(Adherence(constraint, "grammar"), "grammar", must_end=True)
    cut = whole_text("a\N{REPLACEMENT CHARACTER}", "length")
    assert followed.whole(cut) == cut
