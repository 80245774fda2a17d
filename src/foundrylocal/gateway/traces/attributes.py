"""What a span says of a request, in the words of OpenTelemetry's conventions for generative AI (gen_ai.*).

Invariant: figures and names only; `input_messages` alone reads content, and only a setting makes it part of a span.
"""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.gateway.stats.request_stats import RequestStats

PROVIDER = "foundrylocal"
MAX_TRACED_BYTES = 64 * 1024
# The conventions have a word for these; other endpoints are named by their path.
_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/api/chat": "chat",
    "/v1/completions": "text_completion",
    "/api/generate": "text_completion",
    "/infill": "text_completion",
    "/v1/embeddings": "embeddings",
    "/api/embed": "embeddings",
    "/api/embeddings": "embeddings",
}
Attributes = dict[str, str | int | float | bool | list[str]]


def operation_of(endpoint: str) -> str:
    """The `gen_ai.operation.name` of an endpoint."""
    return _OPERATIONS.get(endpoint, endpoint.removeprefix("/v1").strip("/").replace("/", "_"))


def span_name(stats: RequestStats) -> str:
    """`chat Qwen2.5-0.5B`, or the operation alone when no model was found."""
    return f"{operation_of(stats.endpoint)} {stats.model_name}".rstrip()


def first_attributes(endpoint: str) -> Attributes:
    """What is known when a request begins; samplers decide by it."""
    return {
        "gen_ai.operation.name": operation_of(endpoint),
        "gen_ai.provider.name": PROVIDER,
        "http.request.method": "POST",
        "http.route": endpoint,
    }


def last_attributes(stats: RequestStats) -> Attributes:
    """What is known when it has ended; steps that the request never reached are left out."""
    known: dict[str, str | int | float | bool | None] = {
        "gen_ai.request.model": stats.model_name or None,
        "gen_ai.response.model": stats.model_id or None,
        "gen_ai.request.stream": stats.is_stream or None,
        "gen_ai.usage.input_tokens": stats.tokens_in,
        "gen_ai.usage.cache_read.input_tokens": stats.tokens_cached or None,
        "gen_ai.usage.output_tokens": stats.tokens_out,
        "gen_ai.response.time_to_first_chunk": stats.first_s if stats.is_stream else None,
        "http.response.status_code": stats.status or None,
        "error.type": stats.outcome if is_failure(stats) else None,
        "foundrylocal.request.id": stats.id,
        "foundrylocal.request.outcome": stats.outcome,
        "foundrylocal.key.name": stats.key,
    }
    found: Attributes = {name: value for name, value in known.items() if value is not None}
    if stats.stop_reason is not None:
        found["gen_ai.response.finish_reasons"] = [stats.stop_reason]
    return found


def is_failure(stats: RequestStats) -> bool:
    """Whether the request ended in an error; a client that disconnected is not an error."""
    return stats.outcome not in ("ok", "cancelled")


def phases(stats: RequestStats) -> list[tuple[str, float, float]]:
    """The parts of a request that took time: name, beginning and end in seconds since it began."""
    loaded_s = stats.queue_s + stats.load_s
    parts = [("queue", 0.0, stats.queue_s), ("load", stats.queue_s, loaded_s)]
    if stats.prefill_s is not None:
        parts.append(("prefill", loaded_s, min(loaded_s + stats.prefill_s, stats.total_s)))
    if stats.decode_s is not None:
        began_s = stats.first_s if stats.is_stream and stats.first_s else stats.total_s - stats.decode_s
        began_s = max(0.0, began_s)
        parts.append(("decode", began_s, max(began_s, min(began_s + stats.decode_s, stats.total_s))))
    return [part for part in parts if part[2] > part[1]]


def input_messages(body: bytes) -> str | None:
    """The messages of a request as `gen_ai.input.messages` has them; None if there are none or they are long."""
    if len(body) > MAX_TRACED_BYTES:
        return None
    try:
        fields = json.loads(body)
        said = next(fields[name] for name in ("messages", "input", "prompt") if fields.get(name))
    except (ValueError, TypeError, AttributeError, RecursionError, StopIteration):
        return None
    messages = said if isinstance(said, list) else [said]
    return json.dumps([_message(one) for one in messages], ensure_ascii=False)


def _message(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict):
        return {"role": "user", "parts": [_part(said)]}
    content = said.get("content")
    parts = content if isinstance(content, list) else [content]
    return {"role": said.get("role", "user"), "parts": [_part(part) for part in parts if part is not None]}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, dict):
        kind = str(part.get("type", "text"))
        is_text = isinstance(part.get("text"), str)
        return {"type": "text", "content": part["text"]} if is_text else {"type": kind}
    return {"type": "text", "content": part if isinstance(part, str) else json.dumps(part)}
