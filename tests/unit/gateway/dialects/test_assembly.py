"""Several answers to one request: their counts as one, and a whole answer put together from the engine's stream.

The engine's chunks here are copies of real ones; `tests/e2e/test_conformance.py` asks the real engine.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from foundrylocal.errors import FoundryLocalError, InvalidRequest
from foundrylocal.gateway.dialects.assembly import assemble
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.dialects.engine_errors import EngineFailed
from foundrylocal.gateway.stats.request_stats import RequestStats
from tests.unit.gateway.dialects.all_routes import ROUTES

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
DONE = b"data: [DONE]\n\n"


def parse(path: str, body: dict[str, Any]) -> Body:
    parsed, _ = ROUTES[path].dialect.prepare(json.dumps(body).encode())
    return parsed


def stats() -> RequestStats:
    return RequestStats("/x", 0.0, model_id="m")


def usage(prompt: int, made: int, cached: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _compact(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def events(*chunks: dict[str, Any], object_: str = "chat.completion.chunk") -> bytes:
    frame = {"id": "chatcmpl-a", "model": "m", "created": 1, "object": object_}
    return b"".join(b"data: " + _compact(frame | chunk) + b"\n\n" for chunk in chunks)


def delta(index: int, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "finish_reason": finish, "delta": fields}]}


def text(index: int, said: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "finish_reason": finish, "text": said, "logprobs": None}], **more}


def test_only_several_whole_answers_are_asked_for_as_a_stream() -> None:
    def sent(path: str, body: dict[str, Any]) -> dict[str, Any]:
        _, engine = ROUTES[path].dialect.prepare(json.dumps(body).encode())
        return dict(json.loads(engine.body))

    for path, body in ((CHAT, HELLO), (CHAT, HELLO | {"n": 1}), (TEXT, {"prompt": "a"})):
        assert "stream" not in sent(path, body)
    assert "stream" not in sent(TEXT, {"prompt": [1, 2, 3]})
    for path, body in (
        (CHAT, HELLO | {"n": 2}),
        (TEXT, {"prompt": ["a", "b"]}),
        (TEXT, {"prompt": [[1], [2]]}),
    ):
        assert sent(path, body)["stream_options"] == {"include_usage": True}


def test_a_prompt_counts_once_and_each_answer_always() -> None:
    stream = events(
        delta(1, role="assistant", content=None),
        delta(0, role="assistant", content=None),
        delta(0, content="Hi"),
        delta(1, content="Ho"),
        delta(0, "stop"),
        {"choices": [], "usage": usage(5, 2, cached=4)},
        delta(1, content="!"),
        delta(1, "length"),
        {"choices": [], "usage": usage(5, 3, cached=5)},
    )
    answer = assemble(stream + DONE, parse(CHAT, HELLO | {"n": 2}), stats())
    assert answer["usage"] == usage(5, 5, cached=4)
    assert answer["object"] == "chat.completion"
    assert [(one["index"], one["finish_reason"]) for one in answer["choices"]] == [(0, "stop"), (1, "length")]
    assert [one["message"]["content"] for one in answer["choices"]] == ["Hi", "Ho!"]


def test_each_prompt_of_a_list_counts() -> None:
    chunks = [text(index, "x", "stop", usage=usage(3 + index // 2, 1)) for index in (0, 2, 1, 3)]
    body = {"prompt": ["a", "b"], "n": 2}
    answer = assemble(events(*chunks, object_="text_completion") + DONE, parse(TEXT, body), stats())
    assert answer["usage"] == usage(3 + 4, 4)
    assert [one["index"] for one in answer["choices"]] == [0, 1, 2, 3]


def test_calls_of_tools_are_put_together_piece_by_piece() -> None:
    def call(index: int, **piece: Any) -> dict[str, Any]:
        return delta(0, tool_calls=[{"index": index, **piece}])

    stream = events(
        delta(0, role="assistant", content=None),
        call(0, id="a", type="function", function={"name": "look", "arguments": ""}),
        call(0, function={"arguments": '{"a":'}),
        call(0, function={"arguments": "1}"}),
        call(1, id="b", type="function", function={"name": "see", "arguments": "{}"}),
        delta(0, "tool_calls"),
        delta(1, role="assistant", content="No."),
        delta(1, "stop"),
        {"choices": [], "usage": usage(5, 2)},
        {"choices": [], "usage": usage(5, 2)},
    )
    first, second = assemble(stream + DONE, parse(CHAT, HELLO | {"n": 2}), stats())["choices"]
    made = [
        (one["id"], one["function"]["name"], one["function"]["arguments"])
        for one in first["message"]["tool_calls"]
    ]
    assert made == [("a", "look", '{"a":1}'), ("b", "see", "{}")]
    assert first["message"]["content"] is None and second["message"]["content"] == "No."


def test_an_answer_that_is_cut_off_is_none() -> None:
    half = events(delta(0, content="Hi"), delta(0, "stop"), {"choices": [], "usage": usage(5, 2)})
    with pytest.raises(EngineFailed):
        assemble(half, parse(CHAT, HELLO | {"n": 2}), stats())
    with pytest.raises(EngineFailed):
        assemble(DONE, parse(CHAT, HELLO | {"n": 2}), stats())
    with pytest.raises(EngineFailed):
        assemble(b'data: {"choices":[\n\n' + DONE, parse(CHAT, HELLO | {"n": 2}), stats())


TOO_LONG = {
    "code": 400,
    "message": "no",
    "type": "exceed_context_size_error",
    "n_prompt_tokens": 9,
    "n_ctx": 8,
}
FAULT = {"code": 500, "message": "slot failed", "type": "server_error"}


@pytest.mark.parametrize(("error", "kind"), [(TOO_LONG, InvalidRequest), (FAULT, EngineFailed)])
def test_an_error_among_the_events_is_raised(error: dict[str, Any], kind: type[FoundryLocalError]) -> None:
    stream = events(delta(0, content="Hi")) + b"error: " + json.dumps({"error": error}).encode() + b"\n\n"
    with pytest.raises(kind):
        assemble(stream, parse(CHAT, HELLO | {"n": 2}), stats())
