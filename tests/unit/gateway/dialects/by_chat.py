"""What a dialect by way of chat sends to the engine, and what it makes of the engine's chunks."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.gateway.stats.request_stats import RequestStats
from tests.unit.gateway.dialects.all_routes import ROUTES

Json = dict[str, Any]
FRAME: Json = {"created": 1795388305, "id": "chatcmpl-a", "model": "m", "object": "chat.completion.chunk"}
USAGE: Json = {"completion_tokens": 4, "prompt_tokens": 7, "prompt_tokens_details": {"cached_tokens": 2}}


def to_engine(path: str, body: Json) -> Json:
    """The engine's request."""
    _, engine = ROUTES[path].dialect.prepare(json.dumps(body).encode())
    return dict(json.loads(engine.body))


def messages_to_engine(path: str, body: Json) -> list[Json]:
    return list(to_engine(path, body)["messages"])


def delta(**fields: Any) -> Json:
    return FRAME | {"choices": [{"index": 0, "finish_reason": None, "delta": fields}]}


def ending(reason: str = "stop", stopping_word: str = "", **sampling: float) -> list[Json]:
    account: Json = {"stopping_word": stopping_word}
    account |= {f"generation_settings/{name}": value for name, value in sampling.items()}
    last = FRAME | {"choices": [{"index": 0, "finish_reason": reason, "delta": {}}], "__verbose": account}
    return [last, FRAME | {"choices": [], "usage": USAGE}]


def stream(path: str, body: Json, *chunks: Json) -> list[Json]:
    """The events that the chunks of a stream become, `[DONE]` at their end."""
    parsed, _ = ROUTES[path].dialect.prepare(json.dumps(body | {"stream": True}).encode())
    rewrite = ROUTES[path].dialect.stream(parsed, RequestStats("/x", 0.0, model_id="m"))
    sent = b"".join(rewrite(b"data: " + json.dumps(chunk).encode() + b"\n\n") for chunk in chunks)
    sent += rewrite(b"data: [DONE]\n\n")
    return [json.loads(event.partition(b"\ndata: ")[2]) for event in sent.split(b"\n\n")[:-1]]


def whole(path: str, body: Json, message: Json, reason: str = "stop", **account: Any) -> Json:
    """The whole answer for an engine's message."""
    parsed, _ = ROUTES[path].dialect.prepare(json.dumps(body).encode())
    answer = FRAME | {"choices": [{"index": 0, "finish_reason": reason, "message": message}], "usage": USAGE}
    raw = json.dumps(answer | {"__verbose": account}).encode()
    return dict(ROUTES[path].dialect.whole(raw, parsed, RequestStats("/x", 0.0, model_id="m")))
