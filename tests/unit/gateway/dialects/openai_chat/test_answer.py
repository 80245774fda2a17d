"""A whole chat answer completed."""

from __future__ import annotations

from tests.unit.gateway.dialects.prepare import CHAT, HELLO, complete


def test_a_whole_chat_has_the_required_nulls() -> None:
    answer = {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}]
    }
    (choice,) = complete(CHAT, answer, HELLO)["choices"]
    assert choice["logprobs"] is None and choice["message"]["refusal"] is None
