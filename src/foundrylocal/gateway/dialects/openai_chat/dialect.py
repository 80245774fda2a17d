"""OpenAI's chat completions."""

from __future__ import annotations

from typing import Any

import msgspec

from foundrylocal.gateway.dialects.assembly import assemble
from foundrylocal.gateway.dialects.base import Dialect, EngineRequest, Rewriter
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.openai_chat.answer import complete_chat
from foundrylocal.gateway.dialects.openai_chat.check import check_chat
from foundrylocal.gateway.dialects.openai_chat.engine import chat_request
from foundrylocal.gateway.dialects.openai_chat.replay import is_replayed, replay
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody
from foundrylocal.gateway.dialects.openai_chat.stream import ParsedChat, UnparsedChat
from foundrylocal.gateway.stats.request_stats import RequestStats

CHAT_PATH = "/v1/chat/completions"


class OpenAiChat(Dialect[ChatBody]):
    """POST /v1/chat/completions."""

    def __init__(self) -> None:
        super().__init__(CHAT_PATH, ChatBody)

    def check(self, body: ChatBody) -> None:
        check_chat(body)

    def to_engine(self, body: ChatBody) -> EngineRequest:
        return chat_request(body, self.engine_path)

    def decode_answer(self, raw: bytes, body: ChatBody, stats: RequestStats) -> Any:
        return assemble(raw, body, stats) if body.answer_count > 1 else msgspec.json.decode(raw)

    def answer(self, answer: Json, body: ChatBody, stats: RequestStats) -> Json:
        return complete_chat(answer, body)

    def as_stream(self, whole: Json, body: ChatBody) -> bytes | None:
        return replay(whole, body) if is_replayed(body) else None

    def stream(self, body: ChatBody, stats: RequestStats) -> Rewriter:
        must_parse = body.logprobs or body.answer_count > 1
        return ParsedChat(body, stats) if must_parse else UnparsedChat(body, stats)
