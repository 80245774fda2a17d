"""Anthropic's events: what is completed, and what passes untouched."""

from __future__ import annotations

import json

from tests.unit.gateway.dialects.prepare import HELLO, MESSAGE_END, MESSAGES, complete, read, rewriter, stats


def test_messages_pass_their_tokens_untouched() -> None:
    seen = stats()
    rewrite = rewriter(MESSAGES, HELLO | {"max_tokens": 5, "stream": True}, seen)
    token = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{}}\n\n'
    assert rewrite(token) == token
    start = {
        "type": "message_start",
        "message": {"id": "chatcmpl-a", "content": [], "usage": {"input_tokens": 5}},
    }
    event = b"event: message_start\ndata: " + json.dumps(start).encode() + b"\n\n"
    message = read(rewrite(event))["message"]
    assert message["id"] == "msg_a" and message["stop_sequence"] is None
    assert seen.tokens_in == 5


def test_a_stop_sequence_is_the_reason_it_ended() -> None:
    body = HELLO | {"max_tokens": 5, "stop_sequences": ["o"]}
    ended = read(rewriter(MESSAGES, body)(MESSAGE_END))
    assert ended["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "o"}
    answer = {"content": [], "usage": {}, "stop_reason": "end_turn", "stop_sequence": "o"}
    assert complete(MESSAGES, answer, body)["stop_reason"] == "stop_sequence"
    answer = {"content": [], "usage": {}, "stop_reason": "end_turn", "stop_sequence": None}
    assert complete(MESSAGES, answer, body)["stop_reason"] == "end_turn"
