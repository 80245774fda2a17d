"""What a message request may hold."""

from __future__ import annotations

from tests.unit.gateway.dialects.prepare import HELLO, for_engine


def test_thoughts_that_nobody_can_read_are_dropped() -> None:
    redacted = {"type": "redacted_thinking", "data": "x"}
    text = {"type": "text", "text": "a"}
    contents = ([redacted, text], [redacted], [])
    messages = [{"role": "assistant", "content": content} for content in contents]
    body = {"max_tokens": 1, "messages": [*messages, *HELLO["messages"]]}
    sent = for_engine("/v1/messages", body)["messages"]
    assert [turn["content"] for turn in sent[:-1]] == [[text], "", ""]
