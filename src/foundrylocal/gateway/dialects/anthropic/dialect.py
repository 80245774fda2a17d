"""Anthropic's messages."""

from __future__ import annotations

import json
from typing import TypeVar

from foundrylocal.errors import FoundryLocalError
from foundrylocal.gateway.dialects.anthropic.answer import complete_message
from foundrylocal.gateway.dialects.anthropic.check import check_turns
from foundrylocal.gateway.dialects.anthropic.engine import is_by_chat, messages_request
from foundrylocal.gateway.dialects.anthropic.errors import anthropic_error
from foundrylocal.gateway.dialects.anthropic.formats import check_formats
from foundrylocal.gateway.dialects.anthropic.from_chat import ChatAsMessageStream, message_of_chat
from foundrylocal.gateway.dialects.anthropic.shapes import CountBody, MessagesBody
from foundrylocal.gateway.dialects.anthropic.stream import MessagesStream
from foundrylocal.gateway.dialects.base import Dialect, EngineRequest, Rewriter
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.stats.request_stats import RequestStats

C = TypeVar("C", bound=CountBody)


class _Anthropic(Dialect[C]):
    """What both endpoints share."""

    def check(self, body: C) -> None:
        check_turns(body)

    def to_engine(self, body: C) -> EngineRequest:
        return messages_request(body, self.engine_path)

    def error_body(self, error: FoundryLocalError) -> Json:
        return anthropic_error(error)

    def error_event(self, error: FoundryLocalError) -> bytes:
        data = json.dumps(self.error_body(error), separators=(",", ":")).encode()
        return b"event: error\ndata: " + data + b"\n\n"


class TokenCount(_Anthropic[CountBody]):
    """POST /v1/messages/count_tokens: the engine's count as it is."""

    def __init__(self) -> None:
        super().__init__("/v1/messages/count_tokens", CountBody)


class Messages(_Anthropic[MessagesBody]):
    """POST /v1/messages; an answer that is held to a schema goes by way of the engine's chat."""

    def __init__(self) -> None:
        super().__init__("/v1/messages", MessagesBody)

    def check(self, body: MessagesBody) -> None:
        super().check(body)
        check_formats(body)

    def answer(self, answer: Json, body: MessagesBody, stats: RequestStats) -> Json:
        return complete_message(message_of_chat(answer) if is_by_chat(body) else answer)

    def stream(self, body: MessagesBody, stats: RequestStats) -> Rewriter:
        return ChatAsMessageStream(stats) if is_by_chat(body) else MessagesStream(stats)
