"""How the tests of dialects prepare a request, and read what the engine and the client would get."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.gateway.dialects.base import Rewriter
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.stats.request_stats import RequestStats
from tests.unit.gateway.dialects.all_routes import ROUTES

CHAT, TEXT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def stats() -> RequestStats:
    return RequestStats("/x", 0.0, model_id="m")


def raw(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def parse(path: str, body: object) -> Body:
    """The checked body."""
    parsed, _ = ROUTES[path].dialect.prepare(raw(body))
    return parsed


def engine_body(path: str, body: object) -> bytes:
    return ROUTES[path].dialect.prepare(raw(body))[1].body


def for_engine(path: str, body: object) -> dict[str, Any]:
    """What the engine gets."""
    return dict(json.loads(engine_body(path, body)))


def rewriter(path: str, body: dict[str, Any], seen: RequestStats | None = None) -> Rewriter:
    """What turns the engine's events into the client's."""
    return ROUTES[path].dialect.stream(parse(path, body), seen or stats())


def complete(
    path: str, answer: dict[str, Any], body: dict[str, Any], context: int | None = None
) -> dict[str, Any]:
    """The engine's whole answer completed for the client."""
    seen = stats()
    seen.context_size = context
    return dict(ROUTES[path].dialect.answer(answer, parse(path, body), seen))


def chunk(choice: str, more: str = "") -> bytes:
    """A chunk of a chat as the engine sends it."""
    frame = '"created":1795388305,"id":"chatcmpl-a","model":"m","object":"chat.completion.chunk"'
    return f'data: {{"choices":[{choice}],{frame}{more}}}\n\n'.encode()


def read(event: bytes) -> dict[str, Any]:
    """The data of one event."""
    _, _, data = (b"\n" + event).partition(b"\ndata: ")
    return dict(json.loads(data))


FIRST = chunk('{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}')
TOKENS = chunk('{"finish_reason":null,"index":0,"delta":{"content":"a \\"delta\\":{ b"}}')
LAST = chunk(
    '{"finish_reason":"stop","index":0,"delta":{}}',
    ',"timings":{"cache_n":2,"prompt_n":3,"prompt_ms":10.0,"predicted_n":4,"predicted_ms":20.0}',
)
TOKEN = {"id": 5, "token": "Hi", "bytes": [72, 105], "logprob": -0.5}
LOGPROBS = {"content": [TOKEN | {"top_logprobs": [TOKEN, TOKEN]}]}
