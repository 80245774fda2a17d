"""OpenAI's older text completions."""

from __future__ import annotations

from typing import Any

import msgspec

from foundrylocal.gateway.dialects.assembly import assemble
from foundrylocal.gateway.dialects.base import Dialect, EngineRequest, Rewriter
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.openai_text.answer import complete_text
from foundrylocal.gateway.dialects.openai_text.check import check_completion
from foundrylocal.gateway.dialects.openai_text.engine import completion_request
from foundrylocal.gateway.dialects.openai_text.shapes import CompletionBody
from foundrylocal.gateway.dialects.openai_text.stream import ParsedText, UnparsedText
from foundrylocal.gateway.stats.request_stats import RequestStats


class OpenAiText(Dialect[CompletionBody]):
    """POST /v1/completions."""

    def __init__(self) -> None:
        super().__init__("/v1/completions", CompletionBody)

    def check(self, body: CompletionBody) -> None:
        check_completion(body)

    def to_engine(self, body: CompletionBody) -> EngineRequest:
        return completion_request(body, self.engine_path)

    def decode_answer(self, raw: bytes, body: CompletionBody, stats: RequestStats) -> Any:
        return assemble(raw, body, stats) if body.answer_count > 1 else msgspec.json.decode(raw)

    def answer(self, answer: Json, body: CompletionBody, stats: RequestStats) -> Json:
        return complete_text(answer, body)

    def stream(self, body: CompletionBody, stats: RequestStats) -> Rewriter:
        return UnparsedText(body, stats) if body.logprobs is None else ParsedText(body, stats)
