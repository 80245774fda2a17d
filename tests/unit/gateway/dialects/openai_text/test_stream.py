"""The engine's text chunks completed."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.gateway.dialects.all_routes import ROUTES
from tests.unit.gateway.dialects.prepare import LOGPROBS, TEXT, chunk, parse, read, rewriter, stats


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


def text(index: int, said: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "finish_reason": finish, "text": said, "logprobs": None}], **more}


def read_all(block: bytes) -> list[dict[str, Any]]:
    return [json.loads(event[6:]) for event in block.split(b"\n\n") if event.startswith(b"data: {")]


def test_a_stream_of_texts_has_one_count_at_its_end() -> None:
    body = {"prompt": ["a", "b"], "stream": True, "stream_options": {"include_usage": True}}
    rewrite = ROUTES[TEXT].dialect.stream(parse(TEXT, body), stats())
    first = events(text(0, "x"), text(1, "y", "stop", usage=usage(3, 2)), object_="text_completion")
    last = events(text(0, "z", "stop", usage=usage(4, 2)), object_="text_completion")
    chunks = read_all(rewrite(first)) + read_all(rewrite(last))
    assert [one["usage"] for one in chunks] == [None, None, None, usage(7, 4)]
    assert chunks[-1]["choices"] == []


def test_a_stream_of_texts_that_asked_for_no_count_has_none() -> None:
    rewrite = ROUTES[TEXT].dialect.stream(parse(TEXT, {"prompt": "a", "stream": True}), stats())
    (chunk,) = read_all(rewrite(events(text(0, "z", "stop", usage=usage(4, 2)), object_="text_completion")))
    assert "usage" not in chunk and chunk["choices"][0]["text"] == "z"


def test_text_offsets_go_on_from_chunk_to_chunk() -> None:
    rewrite = rewriter(TEXT, {"prompt": "a", "logprobs": 1})
    choice = '{"text":"Hi","index":0,"logprobs":' + json.dumps(LOGPROBS) + ',"finish_reason":null}'
    offsets = [read(rewrite(chunk(choice)))["choices"][0]["logprobs"]["text_offset"] for _ in range(3)]
    assert offsets == [[0], [2], [4]]
    assert read(rewrite(chunk(choice)))["id"] == "cmpl-a"
