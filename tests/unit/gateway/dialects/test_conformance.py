"""What the engine sends, completed: checked against the types of the published clients, nothing left out.

The engine's answers here are copies of real ones; `tests/e2e/test_conformance.py` asks the real engine.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.gateway.dialects.base import Rewriter
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.dialects.events import whole_events
from foundrylocal.gateway.routes import ROUTES
from foundrylocal.gateway.stats.request_stats import RequestStats

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
FRAME = '"created":1795388305,"id":"chatcmpl-a","model":"m","object":"chat.completion.chunk"'
TOKEN = {"id": 5, "token": "Hi", "bytes": [72, 105], "logprob": -0.5}
LOGPROBS = {"content": [TOKEN | {"top_logprobs": [TOKEN, TOKEN]}]}


CHAT, TEXT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"


def parse(path: str, body: dict[str, Any]) -> Body:
    parsed, _ = ROUTES[path].dialect.prepare(json.dumps(body).encode())
    return parsed


def rewriter(path: str, body: dict[str, Any], seen: RequestStats | None = None) -> Rewriter:
    return ROUTES[path].dialect.stream(parse(path, body), seen or stats())


def chat_rewriter(seen: RequestStats | None = None, **fields: object) -> Rewriter:
    return rewriter(CHAT, HELLO | fields, seen)


def complete(
    path: str, answer: dict[str, Any], body: dict[str, Any], context: int | None = None
) -> dict[str, Any]:
    seen = stats()
    seen.context_size = context
    return ROUTES[path].dialect.answer(answer, parse(path, body), seen)


def chunk(choice: str, more: str = "") -> bytes:
    return f'data: {{"choices":[{choice}],{FRAME}{more}}}\n\n'.encode()


def read(event: bytes) -> dict[str, Any]:
    _, _, data = (b"\n" + event).partition(b"\ndata: ")
    return dict(json.loads(data))


def stats() -> RequestStats:
    return RequestStats("/x", 0.0, model_id="m")


FIRST = chunk('{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}')
TOKENS = chunk('{"finish_reason":null,"index":0,"delta":{"content":"a \\"delta\\":{ b"}}')
LAST = chunk(
    '{"finish_reason":"stop","index":0,"delta":{}}',
    ',"timings":{"cache_n":2,"prompt_n":3,"prompt_ms":10.0,"predicted_n":4,"predicted_ms":20.0}',
)


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


def test_text_offsets_go_on_from_chunk_to_chunk() -> None:
    rewrite = rewriter(TEXT, {"prompt": "a", "logprobs": 1})
    choice = '{"text":"Hi","index":0,"logprobs":' + json.dumps(LOGPROBS) + ',"finish_reason":null}'
    offsets = [read(rewrite(chunk(choice)))["choices"][0]["logprobs"]["text_offset"] for _ in range(3)]
    assert offsets == [[0], [2], [4]]
    assert read(rewrite(chunk(choice)))["id"] == "cmpl-a"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_events_are_whole_however_they_are_read(size: int) -> None:
    stream = FIRST + TOKENS * 3 + LAST + b"data: [DONE]\n\n"
    rest, blocks = b"", []
    for begin in range(0, len(stream), size):
        block, rest = whole_events(rest, stream[begin : begin + size])
        assert not block or block.endswith(b"\n\n")
        blocks.append(block)
    assert (b"".join(blocks), rest) == (stream, b"")


def test_a_whole_chat_has_the_required_nulls() -> None:
    answer = {
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}]
    }
    (choice,) = complete(CHAT, answer, HELLO)["choices"]
    assert choice["logprobs"] is None and choice["message"]["refusal"] is None


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


MESSAGE_END = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":"o"},'
    b'"usage":{"output_tokens":2}}\n\n'
)


def test_a_stop_sequence_is_the_reason_it_ended() -> None:
    body = HELLO | {"max_tokens": 5, "stop_sequences": ["o"]}
    ended = read(rewriter(MESSAGES, body)(MESSAGE_END))
    assert ended["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "o"}
    answer = {"content": [], "usage": {}, "stop_reason": "end_turn", "stop_sequence": "o"}
    assert complete(MESSAGES, answer, body)["stop_reason"] == "stop_sequence"
    answer = {"content": [], "usage": {}, "stop_reason": "end_turn", "stop_sequence": None}
    assert complete(MESSAGES, answer, body)["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("limit", "context", "status"), [(9, 64, "completed"), (5, 64, "incomplete"), (None, 12, "incomplete")]
)
def test_an_answer_that_was_cut_short_is_incomplete(limit: int | None, context: int, status: str) -> None:
    body = {"input": "a", "max_output_tokens": limit}
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    item = {"type": "message", "status": "completed", "content": []}
    answer = {"status": "completed", "output": [item], "usage": usage}
    done = complete(RESPONSES, answer, body, context)
    assert (done["status"], done["output"][0]["status"]) == (status, status)
    assert (done["incomplete_details"] is None) is (status == "completed")


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
    ("/v1/messages", HELLO | {"max_tokens": 5}, MESSAGE_END),
    ("/v1/responses", {"input": "a"}, b'event: x\ndata: {"type":"response.other"}\n\n'),
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


def test_events_of_responses_are_numbered() -> None:
    rewrite = rewriter(RESPONSES, {"input": "a", "stream": True})
    created = b'"response.created","response":{"id":"r","status":"in_progress"}'
    delta = b'"response.output_text.delta","item_id":"m","delta":"a"'
    events = [b'event: x\ndata: {"type":%b}\n\n' % body for body in (created, delta, delta)]
    bodies = [read(rewrite(event)) for event in events]
    assert [body["sequence_number"] for body in bodies] == [0, 1, 2]
    assert bodies[0]["response"]["model"] == "m"
    assert bodies[1]["content_index"] == 0
