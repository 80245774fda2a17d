"""Bodies that pass, and a corpus of those that are refused."""

from __future__ import annotations

import json

import pytest

from foundrylocal.errors import FoundryLocalError, InvalidJson, InvalidRequest
from tests.unit.gateway.dialects.bad_requests import BAD_BODIES, BAD_FIELDS
from tests.unit.gateway.dialects.prepare import CHAT, HELLO, engine_body, for_engine, parse


@pytest.mark.parametrize(("path", "body", "param"), BAD_FIELDS)
def test_a_bad_request_names_its_field(path: str, body: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(path, body)
    assert caught.value.param == param
    assert param in caught.value.message
    assert "\n" not in caught.value.message and "msgspec" not in caught.value.message


@pytest.mark.parametrize("body", BAD_BODIES)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(FoundryLocalError) as caught:
        parse(CHAT, body)
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


def test_a_byte_order_mark_is_no_fault() -> None:
    assert parse(CHAT, b"\xef\xbb\xbf" + json.dumps(HELLO).encode()).model is None


def test_brackets_in_text_are_not_depth() -> None:
    content = '[{"\\' * 500
    assert (
        for_engine(CHAT, {"messages": [{"role": "user", "content": content}]})["messages"][0]["content"]
        == content
    )
