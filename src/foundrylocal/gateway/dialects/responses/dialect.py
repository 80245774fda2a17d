"""OpenAI's responses (and Open Responses), by way of the engine's chat."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.errors import FoundryLocalError
from foundrylocal.gateway.dialects.base import Dialect, EngineRequest, Rewriter
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import (
    CHAT_PATH,
    COUNT_PATH,
    Usage,
    chat_request,
    count_request,
    decode_answer,
    note_figures,
    reasoning_tokens,
)
from foundrylocal.gateway.dialects.ids import with_prefix
from foundrylocal.gateway.dialects.openai_chat.engine import Places
from foundrylocal.gateway.dialects.responses.answer import new_item_id, response_of
from foundrylocal.gateway.dialects.responses.check import check_responses
from foundrylocal.gateway.dialects.responses.compaction import seal_summary
from foundrylocal.gateway.dialects.responses.engine import chat_of, places_of, summary_chat_of
from foundrylocal.gateway.dialects.responses.kept_items import as_items
from foundrylocal.gateway.dialects.responses.resource import usage_of
from foundrylocal.gateway.dialects.responses.shapes import CompactBody, ConversationBody, ResponsesBody
from foundrylocal.gateway.dialects.responses.store import ResponseStore
from foundrylocal.gateway.dialects.responses.stream import ResponsesStream
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.kit.clock import now_s


def conversation_of(body: ConversationBody, store: ResponseStore) -> list[Json]:
    """All items: those of the response that is gone on from, and the request's own. Raises InvalidRequest."""
    before = store.conversation_of(body.previous_response_id, body.owner) if body.previous_response_id else []
    return [*before, *as_items(body.input)]


class ResponsesTokens(Dialect[ResponsesBody]):
    """POST /v1/responses/input_tokens."""

    def __init__(self, store: ResponseStore) -> None:
        super().__init__(COUNT_PATH, ResponsesBody)
        self._store = store

    def check(self, body: ResponsesBody) -> None:
        check_responses(body)

    def to_engine(self, body: ResponsesBody) -> EngineRequest:
        return count_request(chat_of(body, conversation_of(body, self._store)), places_of(body))

    def answer(self, answer: Json, body: ResponsesBody, stats: RequestStats) -> Json:
        return {"object": "response.input_tokens", "input_tokens": answer["input_tokens"]}


class Responses(Dialect[ResponsesBody]):
    """POST /v1/responses; a finished response is kept unless the request says `store: false`."""

    def __init__(self, store: ResponseStore) -> None:
        super().__init__(CHAT_PATH, ResponsesBody)
        self._store = store

    def check(self, body: ResponsesBody) -> None:
        check_responses(body)
        body.store = body.store is not False and self._store.is_on

    def to_engine(self, body: ResponsesBody) -> EngineRequest:
        # The whole conversation, in case the response before it is no longer kept when this one is.
        body.input = conversation_of(body, self._store)
        return chat_request(chat_of(body, body.input), places_of(body))

    def whole(self, raw: bytes, body: ResponsesBody, stats: RequestStats) -> Any:
        answer = decode_answer(raw)
        note_figures(answer, stats)
        response = response_of(answer, body, stats.model_id, int(now_s()))
        self._keep(response, body)
        return response

    def stream(self, body: ResponsesBody, stats: RequestStats) -> Rewriter:
        return ResponsesStream(body, stats, lambda response: self._keep(response, body))

    def _keep(self, response: Json, body: ResponsesBody) -> None:
        if body.store and isinstance(body.input, list):
            self._store.add(response, body.input, body.owner)

    def error_event(self, error: FoundryLocalError, stream: Rewriter | None = None) -> bytes:
        number = 0
        failed = b""
        if isinstance(stream, ResponsesStream):
            failed, number = stream.fail(error), stream.next_number()
        # OpenAI's clients read the fields of the event, those of Open Responses its `error`.
        body = self.error_body(error)
        about = {name: body["error"][name] for name in ("code", "message", "param")}
        event = {"type": "error", **about, "sequence_number": number, **body}
        return failed + b"event: error\ndata: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"


class Compact(Dialect[CompactBody]):
    """POST /v1/responses/compact: the model's summary of a conversation, to be sent in its place."""

    def __init__(self, store: ResponseStore) -> None:
        super().__init__(CHAT_PATH, CompactBody)
        self._store = store

    def to_engine(self, body: CompactBody) -> EngineRequest:
        body.input = conversation_of(body, self._store)
        return chat_request(summary_chat_of(body.input, body.instructions), Places())

    def whole(self, raw: bytes, body: CompactBody, stats: RequestStats) -> Any:
        answer = decode_answer(raw)
        note_figures(answer, stats)
        said, usage = answer.choices[0].message, answer.usage or Usage()
        key = with_prefix("", answer.id)
        summary = {
            "type": "compaction",
            "id": new_item_id("cmp", key, 0),
            "encrypted_content": seal_summary(said.content or ""),
        }
        reasoning = reasoning_tokens(usage, len(said.reasoning_content or ""), len(said.content or ""))
        return {
            "id": f"resp_{key}",
            "object": "response.compaction",
            "created_at": answer.created,
            "output": [summary],
            "usage": usage_of(usage, reasoning),
        }
