"""The events of /v1/responses: the engine leaves out the numbers that place an event in the answer.

Invariant: whole events in, whole events out, numbered in order; a piece of text is not parsed.
"""

from __future__ import annotations

import json

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.events import dump, note_timings, split_events
from foundrylocal.gateway.dialects.responses.answer import complete_part, complete_response
from foundrylocal.gateway.dialects.responses.shapes import ResponsesBody
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.kit.clock import now_s

_DELTA = b'data: {"type":"response.output_text.delta",'


class ResponsesStream:
    """Rewrites one stream."""

    def __init__(self, body: ResponsesBody, stats: RequestStats) -> None:
        self._body = body
        self._stats = stats
        self._number = -1
        self._outputs: dict[str, int] = {}
        self._output = 0
        self._created = int(now_s())

    def __call__(self, block: bytes) -> bytes:
        note_timings(block, self._stats)
        return b"".join(self._one(event) for event in split_events(block))

    def _one(self, event: bytes) -> bytes:
        name, found, data = event.partition(b"\n")
        if not found:
            return event + b"\n\n"
        self._number += 1
        if data.startswith(_DELTA):
            placed = b'"sequence_number":%d,"output_index":%d,"content_index":0,"logprobs":[],'
            data = _DELTA + placed % (self._number, self._output) + data[len(_DELTA) :]
            return name + b"\n" + data + b"\n\n"
        body = self._complete(json.loads(data.removeprefix(b"data: ")))
        kind = str(body["type"]).encode()
        return b"event: " + kind + b"\ndata: " + dump(body) + b"\n\n"

    def _complete(self, body: Json) -> Json:
        body["sequence_number"] = self._number
        kind = str(body.get("type"))
        if "response" in body:
            self._complete_response(body)
        elif kind.startswith("response.output_item."):
            body.setdefault("output_index", self._place(body["item"].get("id")))
            for part in body["item"].get("content") or ():
                complete_part(part)
        else:
            self._complete_piece(body, kind)
        body.pop("timings", None)
        return body

    def _complete_response(self, body: Json) -> None:
        response = body["response"]
        response.setdefault("created_at", self._created)
        response.setdefault("model", self._stats.model_id)
        body["response"] = response = complete_response(response, self._body, self._stats.context_size)
        self._stats.note_usage(response.get("usage") or {})
        if response["status"] == "incomplete":
            body["type"] = "response.incomplete"

    def _complete_piece(self, body: Json, kind: str) -> None:
        body.setdefault("output_index", self._place(body.get("item_id")))
        if kind.startswith(("response.content_part.", "response.output_text.")):
            body.setdefault("content_index", 0)
        if kind.startswith("response.reasoning"):
            body.setdefault("summary_index" if "summary" in kind else "content_index", 0)
        if "part" in body:
            complete_part(body["part"])
        if kind.startswith("response.output_text."):
            body.setdefault("logprobs", [])

    def _place(self, item_id: object) -> int:
        """The number of an item in the answer, by the order in which the items are first mentioned."""
        self._output = self._outputs.setdefault(str(item_id), len(self._outputs))
        return self._output
