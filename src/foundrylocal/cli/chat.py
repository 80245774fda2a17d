"""A conversation through the gateway: streamed and timed answers, and the history sent to the model.

Invariant: the history alternates user and assistant; an unanswered question is not in it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from foundrylocal.cli.client import HttpClient, error_of
from foundrylocal.cli.ensure_loaded import RunningServer
from foundrylocal.cli.failure import Failure, Refused

Json = dict[str, Any]

# The first token comes after the whole prompt is processed, which can take long on a small machine.
ANSWER_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; its rate is measured from the first token on and is None below two tokens."""

    text: str
    tokens: int
    first_token_s: float | None
    tokens_per_s: float | None
    is_stopped: bool

    def figures(self) -> str:
        parts = [f"{self.tokens} tokens"]
        if self.tokens_per_s is not None:
            parts.append(f"{self.tokens_per_s:.1f} tokens/s")
        if self.first_token_s is not None:
            parts.append(f"first token after {self.first_token_s:.2f} s")
        return ", ".join(parts)


class Conversation:
    """Sends each question with the conversation so far, after `system` and with the sampling `options`."""

    def __init__(self, server: RunningServer, system: str | None = None, options: Json | None = None) -> None:
        self.system = system
        self.options: Json = dict(options or {})
        self._client = HttpClient(server.endpoint, server.key)
        self._model_id = server.model_id
        self._history: list[Json] = []

    def clear(self) -> None:
        self._history.clear()

    def ask(
        self, question: str, write: Callable[[str], None], images: Sequence[str] = (), **options: object
    ) -> Answer:
        """Stream the answer to `write`; Ctrl-C ends it early. `images` are data URLs. Raises Failure."""
        asked = {"role": "user", "content": _content(question, images)}
        opening: list[Json] = [{"role": "system", "content": self.system}] if self.system else []
        body = {"model": self._model_id, "messages": [*opening, *self._history, asked], "stream": True}
        body |= {"stream_options": {"include_usage": True}, **self.options, **options}
        clock = _Clock()
        pieces: list[str] = []
        is_stopped = False
        try:
            with contextlib.closing(self._chunks(body)) as chunks:
                for chunk in chunks:
                    clock.see(chunk)
                    if text := _text(chunk):
                        pieces.append(text)
                        write(text)
        except KeyboardInterrupt:
            is_stopped = True
        except Refused as refusal:
            if images and refusal.code == "invalid_request":
                refusal.next_step = "foundrylocal list --all --for vision, then foundrylocal run one of them"
            raise
        said = "".join(pieces)
        if said:
            self._history += [asked, {"role": "assistant", "content": said}]
        return clock.answer(said, is_stopped=is_stopped)

    def _chunks(self, body: Json) -> Generator[Json, None, None]:
        path = "/chat/completions"
        for data in self._client.events("POST", path, body, timeout_s=ANSWER_TIMEOUT_S):
            if data == "[DONE]":
                return
            chunk = json.loads(data)
            if "error" in chunk:
                raise error_of(chunk, 500)
            yield chunk
        raise Failure("The answer is incomplete", "The stream ended without [DONE].", "foundrylocal logs")


def _content(question: str, images: Sequence[str]) -> str | list[Json]:
    """The question alone, or after its images."""
    if not images:
        return question
    parts: list[Json] = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    return [*parts, {"type": "text", "text": question}]


def _delta(chunk: Json) -> Json:
    choices = chunk.get("choices") or [{}]
    return choices[0].get("delta") or {}


def _text(chunk: Json) -> str:
    return _delta(chunk).get("content") or ""


class _Clock:
    """Times tokens: each chunk with text or reasoning counts as one, unless the usage gives the exact number."""

    def __init__(self) -> None:
        self._asked_at = time.monotonic()
        self._first_at: float | None = None
        self._last_at = 0.0
        self._seen = 0
        self._counted: int | None = None

    def see(self, chunk: Json) -> None:
        delta = _delta(chunk)
        if delta.get("content") or delta.get("reasoning_content"):
            self._last_at = time.monotonic()
            self._first_at = self._first_at or self._last_at
            self._seen += 1
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._counted = usage.get("completion_tokens")

    def answer(self, text: str, *, is_stopped: bool) -> Answer:
        tokens = self._seen if self._counted is None else self._counted
        first_s = None if self._first_at is None else self._first_at - self._asked_at
        took_s = 0.0 if self._first_at is None else self._last_at - self._first_at
        # By chunks and not by usage: some tokens, such as the end mark, produce no chunk.
        rate = (self._seen - 1) / took_s if self._seen > 1 and took_s > 0 else None
        return Answer(text, tokens, first_s, rate, is_stopped)
