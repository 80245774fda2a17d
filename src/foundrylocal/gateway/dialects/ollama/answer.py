"""The engine's answers in Ollama's form: whole ones, and the last line of a stream with its figures.

Durations are in nanoseconds. A key that has no value is left out, as Ollama does: its clients test for keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic

import msgspec

from foundrylocal.gateway.dialects.anthropic.answer import input_of
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import CallPiece, ChatAnswer, Usage
from foundrylocal.gateway.dialects.ollama.shapes import GenerationBody
from foundrylocal.gateway.stats.request_stats import RequestStats

_NS = 1_000_000_000
Content = Callable[[str, str, list[Json]], Json]
"""What a line says, of its text, its thoughts and its calls: `message` of a chat, `response` of a prompt."""


def now_text() -> str:
    """The time of an answer: UTC with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def chat_content(text: str, thinking: str = "", calls: Sequence[Json] = ()) -> Json:
    """The message of /api/chat."""
    message: Json = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = list(calls)
    return {"message": message}


def prompt_content(text: str, thinking: str = "", calls: Sequence[Json] = ()) -> Json:
    """The response of /api/generate, which has no calls."""
    return {"response": text, "thinking": thinking} if thinking else {"response": text}


def call_of(piece: CallPiece, number: int) -> Json | None:
    """A whole call with its arguments as an object; None for one that was cut short."""
    arguments = piece.function.arguments or "{}"
    try:
        msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return None
    return {
        "id": piece.id or f"call_{number}",
        "function": {"index": number, "name": piece.function.name, "arguments": input_of(piece)},
    }


def logprobs_of(entries: list[Json], body: GenerationBody) -> Json:
    """The logprobs of a piece; empty when the request wants none."""
    if not body.logprobs or not entries:
        return {}
    wanted = body.top_logprobs or 0
    return {
        "logprobs": [
            {**_token(entry), "top_logprobs": [_token(top) for top in entry.get("top_logprobs", ())[:wanted]]}
            if wanted
            else _token(entry)
            for entry in entries
        ]
    }


def _token(entry: Json) -> Json:
    return {"token": entry["token"], "logprob": entry["logprob"], "bytes": entry.get("bytes") or []}


def line(body: GenerationBody, content: Json) -> Json:
    """One line of a stream before the last."""
    return {"model": body.model, "created_at": now_text(), **content, "done": False}


def ending(body: GenerationBody, content: Json, reason: str, stats: RequestStats, usage: Usage) -> Json:
    """The last line of a stream, or the whole answer."""
    return {
        "model": body.model,
        "created_at": now_text(),
        **content,
        "done": True,
        "done_reason": "length" if reason == "length" else "stop",
        **durations(stats),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": _ns(stats.prefill_s),
        "eval_count": usage.completion_tokens,
        "eval_duration": _ns(stats.decode_s),
    }


def durations(stats: RequestStats) -> Json:
    """How long the request took so far, and how much of that its model was loading."""
    return {"total_duration": _ns(monotonic() - stats.began), "load_duration": _ns(stats.load_s)}


def _ns(seconds: float | None) -> int:
    return round((seconds or 0.0) * _NS)


def whole_chat(answer: ChatAnswer, body: GenerationBody, content: Content, stats: RequestStats) -> Json:
    """The whole answer of a chat of the engine. Raises LookupError when it has none."""
    choice = answer.choices[0]
    said = choice.message
    calls = [call for number, one in enumerate(said.tool_calls) if (call := call_of(one, number))]
    shown = content(said.content or "", said.reasoning_content or "", calls)
    found = (choice.logprobs and choice.logprobs.content) or []
    usage = answer.usage or Usage()
    return ending(body, {**shown, **logprobs_of(found, body)}, choice.finish_reason or "stop", stats, usage)


def loaded_answer(body: GenerationBody, content: Json, reason: str) -> Json:
    """The answer to a request that only loads or unloads its model."""
    return {
        "model": body.model,
        "created_at": now_text(),
        **content,
        "done": True,
        "done_reason": reason,
    }
