"""One timed chat through the gateway: what an application would see, by its own clock."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foundrylocal.cli.client import HttpClient, error_of
from foundrylocal.cli.failure import Failure

REQUEST_TIMEOUT_S = 300.0
_WORDS = (
    "time", "person", "year", "way", "day", "thing", "world", "life", "hand", "part", "child", "eye", "place", "work",
    "week", "case", "point", "number", "group", "fact",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Streamed:
    """One answer; `prompt_tokens` were read before the first token, `cached_tokens` of them not anew."""

    prompt_tokens: int
    cached_tokens: int
    tokens: int
    first_token_s: float
    total_s: float

    @property
    def prefill_rate(self) -> float:
        return max(0, self.prompt_tokens - self.cached_tokens) / max(self.first_token_s, 1e-6)

    @property
    def decode_rate(self) -> float:
        return max(0, self.tokens - 1) / max(self.total_s - self.first_token_s, 1e-6)


def prompt_of(words: int, number: int) -> str:
    """A prompt of about that many tokens that begins unlike any other number's, so that no cache helps."""
    middle = " ".join(_WORDS[(number * 7 + index * (1 + number % 3)) % len(_WORDS)] for index in range(words))
    return f"{number}: {middle}. Write a long story with these words."


def stream_chat(
    client: HttpClient,
    model: str,
    prompt: str,
    max_tokens: int,
    now_s: Callable[[], float] = time.perf_counter,
) -> Streamed:
    """Ask once and time the answer, which has exactly `max_tokens`. Raises Failure."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    first_s: float | None = None
    last_s, usage = 0.0, dict[str, Any]()
    began_s = now_s()
    with contextlib.closing(
        client.events("POST", "/chat/completions", body, timeout_s=REQUEST_TIMEOUT_S)
    ) as events:
        for data in events:
            if data == "[DONE]":
                break
            chunk = json.loads(data)
            if "error" in chunk:
                raise error_of(chunk, 500)
            delta = ((chunk.get("choices") or [{}])[0]).get("delta") or {}
            if delta.get("content") or delta.get("reasoning_content"):
                last_s = now_s()
                first_s = last_s if first_s is None else first_s
            usage = chunk.get("usage") or usage
    if first_s is None:
        raise Failure("The model answered without a token", None, "foundrylocal logs")
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Streamed(
        int(usage.get("prompt_tokens") or 0),
        int(cached),
        int(usage.get("completion_tokens") or max_tokens),
        first_s - began_s,
        last_s - began_s,
    )
