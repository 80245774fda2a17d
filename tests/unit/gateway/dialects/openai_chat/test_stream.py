"""The engine's chat chunks completed: copies of real ones, checked against what the published schema requires."""

from __future__ import annotations

import json

from foundrylocal.gateway.dialects.base import Rewriter
from foundrylocal.gateway.stats.request_stats import RequestStats
from tests.unit.gateway.dialects.prepare import (
    CHAT,
    FIRST,
    HELLO,
    LAST,
    LOGPROBS,
    TOKENS,
    chunk,
    read,
    rewriter,
    stats,
)


def chat_rewriter(seen: RequestStats | None = None, **fields: object) -> Rewriter:
    return rewriter(CHAT, HELLO | fields, seen)


def test_a_plain_stream_gets_its_nulls_and_loses_nothing() -> None:
    seen = stats()
    rewrite = chat_rewriter(seen, stream=True)
    first, token, last = (read(rewrite(block)) for block in (FIRST, TOKENS, LAST))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert token["choices"][0]["delta"]["content"] == 'a "delta":{ b'
    assert all("logprobs" in one["choices"][0] for one in (first, token, last))
    assert (seen.tokens_in, seen.tokens_out, seen.decode_s) == (5, 4, 0.02)


def test_several_events_in_one_read_are_all_rewritten() -> None:
    block = chat_rewriter(stream=True)(FIRST + TOKENS + LAST)
    assert block.count(b'"logprobs":null') == 3
    assert block.endswith(b"\n\n")


def test_usage_is_null_until_it_is_known() -> None:
    rewrite = chat_rewriter(stream=True, stream_options={"include_usage": True})
    assert read(rewrite(TOKENS))["usage"] is None
    usage = chunk("", ',"usage":{"completion_tokens":1,"prompt_tokens":1,"total_tokens":2}')
    assert read(rewrite(usage))["usage"]["total_tokens"] == 2


def test_the_done_mark_passes() -> None:
    for logprobs in (False, True):
        assert chat_rewriter(logprobs=logprobs)(b"data: [DONE]\n\n") == b"data: [DONE]\n\n"


def test_logprobs_have_as_many_alternatives_as_asked_for() -> None:
    event = chunk(
        '{"finish_reason":null,"index":0,"delta":{"content":"Hi"},"logprobs":' + json.dumps(LOGPROBS) + "}"
    )
    for count in (0, 1, 2):
        body = read(chat_rewriter(logprobs=True, top_logprobs=count)(event))
        (token,) = body["choices"][0]["logprobs"]["content"]
        assert len(token["top_logprobs"]) == count
        assert set(token) == {"token", "logprob", "bytes", "top_logprobs"}
