"""Clients that stream one answer after the other, and say of each how it ended."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx

MAX_TOKENS = 24
READ_TIMEOUT_S = 120.0
PAUSE_AFTER_REFUSAL_S = 0.2


class End(StrEnum):
    """How an answer ended."""

    WHOLE = "whole"
    CUT = "begun, then one error event"
    REFUSED = "an error before its first byte"
    BROKEN = "anything else"


@dataclass
class Answer:
    """One answer: when its request was sent and when it ended, by the monotonic clock; `fault` says what is wrong."""

    end: End
    sent_s: float
    ended_s: float
    last_byte_s: float
    fault: str = ""


@dataclass
class Clients:
    """As many as `count` at a time, until `stop`; `answers` grows as they end."""

    url: str
    key: str
    model: str
    count: int = 16
    max_tokens: int = MAX_TOKENS
    answers: list[Answer] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for the time of the block; those under way are answered to the end."""
        threads = [threading.Thread(target=self._ask_on, args=(number,)) for number in range(self.count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(READ_TIMEOUT_S * 2)

    def of(self, end: End) -> list[Answer]:
        return [answer for answer in self.answers if answer.end is end]

    def _ask_on(self, number: int) -> None:
        with httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=READ_TIMEOUT_S
        ) as client:
            turn = 0
            while not self._stopping.is_set():
                turn += 1
                answer = self._ask(client, f"Client {number}, question {turn}: tell me about the sea.")
                self.answers.append(answer)
                if answer.end is End.REFUSED:
                    self._stopping.wait(PAUSE_AFTER_REFUSAL_S)

    def _ask(self, client: httpx.Client, question: str) -> Answer:
        sent = last = time.monotonic()
        body = {
            "model": self.model,
            "stream": True,
            "max_tokens": self.max_tokens,
            "messages": [{"role": "user", "content": question}],
        }
        events: list[Any] = []
        try:
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                if answer.status_code != 200:
                    fault = f"{answer.status_code} {answer.read()[:300]!r}"
                    return Answer(End.REFUSED, sent, time.monotonic(), last, fault)
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        last = time.monotonic() if not _is_error(line) else last
                        events.append(line[6:])
        except httpx.HTTPError as error:
            return Answer(End.BROKEN, sent, time.monotonic(), last, repr(error))
        end, fault = judge(events)
        return Answer(end, sent, time.monotonic(), last, fault)


def _is_error(line: str) -> bool:
    return '"error"' in line


def judge(lines: list[str]) -> tuple[End, str]:
    """How a stream ended by its events: whole with one finish and [DONE], or cut with one error and nothing after."""
    parsed = [json.loads(line) for line in lines if line != "[DONE]"]
    errors = [index for index, event in enumerate(parsed) if "error" in event]
    finishes = [
        choice["finish_reason"]
        for event in parsed
        for choice in event.get("choices", [])
        if choice.get("finish_reason")
    ]
    if not errors:
        is_whole = len(finishes) == 1 and lines.count("[DONE]") == 1 and lines[-1] == "[DONE]"
        return (End.WHOLE, "") if is_whole else (End.BROKEN, f"no end: {lines[-2:]}")
    if errors != [len(parsed) - 1]:
        return End.BROKEN, f"more than one error at the end: {lines[-3:]}"
    return (End.CUT if len(parsed) > 1 else End.REFUSED), str(parsed[-1])
