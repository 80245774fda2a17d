"""OpenAI's responses."""

from __future__ import annotations

import json

from foundrylocal.errors import FoundryLocalError
from foundrylocal.gateway.dialects.base import Dialect, EngineRequest, Rewriter
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.responses.answer import complete_response
from foundrylocal.gateway.dialects.responses.check import check_responses
from foundrylocal.gateway.dialects.responses.engine import responses_request
from foundrylocal.gateway.dialects.responses.shapes import ResponsesBody
from foundrylocal.gateway.dialects.responses.stream import ResponsesStream
from foundrylocal.gateway.stats.request_stats import RequestStats


class ResponsesTokens(Dialect[ResponsesBody]):
    """POST /v1/responses/input_tokens: the same body, and the engine's count as it is."""

    def __init__(self, engine_path: str = "/v1/responses/input_tokens") -> None:
        super().__init__(engine_path, ResponsesBody)

    def check(self, body: ResponsesBody) -> None:
        check_responses(body)

    def to_engine(self, body: ResponsesBody) -> EngineRequest:
        request = responses_request(body, self.engine_path)
        return EngineRequest(request.path, request.body)  # a count keeps no constraint


class Responses(ResponsesTokens):
    """POST /v1/responses."""

    def __init__(self) -> None:
        super().__init__("/v1/responses")

    def to_engine(self, body: ResponsesBody) -> EngineRequest:
        return responses_request(body, self.engine_path)

    def answer(self, answer: Json, body: ResponsesBody, stats: RequestStats) -> Json:
        return complete_response(answer, body, stats.context_size)

    def stream(self, body: ResponsesBody, stats: RequestStats) -> Rewriter:
        return ResponsesStream(body, stats)

    def error_event(self, error: FoundryLocalError) -> bytes:
        body = self.error_body(error)
        about = {name: body["error"][name] for name in ("code", "message", "param")}
        event = {"type": "error", **about, "sequence_number": 0, **body}
        return b"event: error\ndata: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
