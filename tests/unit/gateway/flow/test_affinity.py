"""How a conversation opens: the same in each of its turns, another one in other conversations."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.flow.affinity import PROMPT_BYTES, opening_of
from tests.unit.gateway.dialects.all_routes import ROUTES

SYSTEM = {"role": "system", "content": "Be brief."}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def opening(path: str = "/v1/chat/completions", **fields: Any) -> bytes:
    return opening_of(ROUTES[path].dialect.prepare(json.dumps(fields).encode())[1])


def test_later_turns_open_as_the_first_one() -> None:
    first = opening(messages=[SYSTEM, user("Hi")])
    later = opening(messages=[SYSTEM, user("Hi"), {"role": "assistant", "content": "Yes?"}, user("Go on")])
    assert first
    assert first == later == opening(messages=[SYSTEM, user("Hi")], temperature=1, stream=True, max_tokens=3)


def test_the_same_system_prompt_is_no_conversation() -> None:
    assert opening(messages=[SYSTEM, user("Hi")]) != opening(messages=[SYSTEM, user("Hello")])
    assert opening(messages=[user("Hi")]) != opening(messages=[SYSTEM, user("Hi")])


def test_a_prompt_that_grows_opens_the_same() -> None:
    text = "Once upon a time " * 100
    assert opening("/v1/completions", prompt=text) == opening("/v1/completions", prompt=text + "there was")
    assert len(opening("/v1/completions", prompt=text)) == PROMPT_BYTES
    assert opening("/v1/completions", prompt="a") != opening("/v1/completions", prompt="b")


def test_other_dialects_open_as_chats_do() -> None:
    turns = [user("Hi"), {"role": "assistant", "content": "Yes?"}, user("Go on")]
    for path, limit in (("/v1/messages", {"max_tokens": 5}), ("/api/chat", {})):
        assert opening(path, messages=turns[:1], model="m", **limit) == opening(
            path, messages=turns, model="m", **limit
        )
    assert opening("/v1/responses", input="Hi") == opening(
        "/v1/responses", input=[user("Hi"), {"role": "assistant", "content": "Yes?"}, user("Go on")]
    )


def test_what_cannot_be_read_has_no_opening() -> None:
    for body in (b"", b"{", b"[]", b'{"messages":3}', b'{"messages":[1]}', b'{"input":"a"}'):
        assert opening_of(EngineRequest("/x", body)) == b""
