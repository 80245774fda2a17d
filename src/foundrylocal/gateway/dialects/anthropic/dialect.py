"""Anthropic's messages, by way of the engine's chat."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from foundrylocal.errors import FoundryLocalError
from foundrylocal.gateway.dialects.anthropic.answer import message_of
from foundrylocal.gateway.dialects.anthropic.engine import chat_of, places_of, thinking_budget
from foundrylocal.gateway.dialects.anthropic.errors import ThreadUnsupported, anthropic_error
from foundrylocal.gateway.dialects.anthropic.shapes import CountBody, MessagesBody
from foundrylocal.gateway.dialects.anthropic.stream import MessagesStream
from foundrylocal.gateway.dialects.base import Dialect, EngineRequest, Rewriter
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import (
    CHAT_PATH,
    COUNT_PATH,
    chat_request,
    count_request,
    decode_answer,
    note_figures,
)
from foundrylocal.gateway.stats.request_stats import RequestStats

C = TypeVar("C", bound=CountBody)


class _Anthropic(Dialect[C]):
    """What both endpoints share."""

    def check(self, body: C) -> None:
        if body.thread is not None:
            raise ThreadUnsupported

    def error_body(self, error: FoundryLocalError) -> Json:
        return anthropic_error(error)

    def error_event(self, error: FoundryLocalError, stream: Rewriter | None = None) -> bytes:
        data = json.dumps(self.error_body(error), separators=(",", ":")).encode()
        return b"event: error\ndata: " + data + b"\n\n"


class TokenCount(_Anthropic[CountBody]):
    """POST /v1/messages/count_tokens."""

    def __init__(self) -> None:
        super().__init__(COUNT_PATH, CountBody)

    def to_engine(self, body: CountBody) -> EngineRequest:
        return count_request(chat_of(body), places_of(body))

    def answer(self, answer: Json, body: CountBody, stats: RequestStats) -> Json:
        return {"input_tokens": answer["input_tokens"]}


class Messages(_Anthropic[MessagesBody]):
    """POST /v1/messages."""

    def __init__(self) -> None:
        super().__init__(CHAT_PATH, MessagesBody)

    def to_engine(self, body: MessagesBody) -> EngineRequest:
        return chat_request(chat_of(body), places_of(body), thinking_budget(body))

    def whole(self, raw: bytes, body: MessagesBody, stats: RequestStats) -> Any:
        answer = decode_answer(raw)
        note_figures(answer, stats)
        return message_of(answer, stats.model_id)

    def stream(self, body: MessagesBody, stats: RequestStats) -> Rewriter:
        return MessagesStream(stats)
