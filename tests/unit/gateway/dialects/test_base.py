"""What holds for every dialect: comments that keep a stream alive pass."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.gateway.dialects.prepare import HELLO, LAST, MESSAGES, TOKENS, chunk, rewriter

COMMENTS = (b":\n\n", b": still there\n\n")


STREAMS: list[tuple[str, dict[str, Any], bytes]] = [
    ("/v1/chat/completions", HELLO, TOKENS + LAST),
    ("/v1/chat/completions", HELLO | {"n": 2}, TOKENS + LAST),
    (
        "/v1/chat/completions",
        HELLO | {"stream": True, "stream_options": {"include_usage": True}},
        TOKENS,
    ),
    ("/v1/completions", {"prompt": "a"}, chunk('{"text":"Hi","index":0}')),
    ("/v1/completions", {"prompt": "a", "logprobs": 1}, chunk('{"text":"Hi","index":0}')),
    ("/v1/messages", HELLO | {"max_tokens": 5}, TOKENS + LAST),
    ("/v1/responses", {"input": "a"}, TOKENS + LAST),
    ("/infill", {"input_prefix": "a", "input_suffix": "b"}, b'data: {"content":"a"}\n\n'),
]


@pytest.mark.parametrize("comment", COMMENTS)
@pytest.mark.parametrize(("path", "body", "events"), STREAMS)
def test_a_comment_that_keeps_a_stream_alive_passes_every_rewriter(
    path: str, body: dict[str, Any], events: bytes, comment: bytes
) -> None:
    def rewritten(*blocks: bytes) -> bytes:
        rewrite = rewriter(path, body)
        return b"".join(rewrite(block) for block in blocks)

    wanted = comment + rewritten(events) + comment
    assert rewritten(comment, events, comment) == wanted
    assert rewritten(comment + events + comment) == wanted


@pytest.mark.parametrize("comment", COMMENTS)
def test_a_comment_passes_an_answer_by_way_of_chat(comment: bytes) -> None:
    schema = {"type": "json_schema", "schema": {"type": "object"}}
    body = HELLO | {"max_tokens": 5, "stream": True, "output_config": {"format": schema}}
    wanted = comment + rewriter(MESSAGES, body)(TOKENS) + comment
    assert b"message_start" in wanted
    assert rewriter(MESSAGES, body)(comment + TOKENS + comment) == wanted
