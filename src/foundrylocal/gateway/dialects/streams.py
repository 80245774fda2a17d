"""Stream events of the engine completed to what the published schemas require, at the least cost a token.

Invariant: a rewriter is given whole events and gives whole events, in the same order. On the plain path a
token costs a few searches in bytes: a pattern with bare quotes cannot occur inside a JSON string.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec

from foundrylocal.gateway.dialects import shapes
from foundrylocal.gateway.dialects.conformance import (
    chat_logprobs,
    complete,
    complete_block,
    complete_delta_usage,
    complete_part,
    tell_stop_sequence,
    text_logprobs,
)
from foundrylocal.gateway.dialects.usage import UsageTotal
from foundrylocal.gateway.routes import Dialect
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.kit.clock import now_s

Json = dict[str, Any]
_TIMINGS = re.compile(rb'"timings":(\{[^{}]*\})')
_OBJECT = b'"object":"chat.completion.chunk"'
_TEXT_OBJECT = b'"object":"text_completion"'
# What the engine sends first when it computes several answers.
_NOTHING = b"data: null"
_dump = msgspec.json.Encoder().encode


def _note_timings(block: bytes, stats: RequestStats) -> None:
    if b'"timings":{' in block:
        for found in _TIMINGS.finditer(block):
            stats.note_timings(json.loads(found[1]))


def _events(block: bytes) -> list[bytes]:
    return block.split(b"\n\n")[:-1]


def _has_usage(asked: shapes.Body) -> bool:
    options = getattr(asked, "stream_options", None)
    return bool(options and options.include_usage)


class PlainChat:
    """One answer without logprobs: the engine's chunks lack a null or two, and nothing else."""

    def __init__(self, asked: shapes.Body, stats: RequestStats) -> None:
        self._has_usage = _has_usage(asked)
        self._figures = stats

    def __call__(self, block: bytes) -> bytes:
        _note_timings(block, self._figures)
        if self._has_usage:
            if b'"usage":{' in block:  # the last but one event; those before it may have come with it
                return b"".join(self._one(event + b"\n\n") for event in _events(block))
            block = block.replace(_OBJECT, _OBJECT + b',"usage":null')
        block = block.replace(b'"delta":{', b'"logprobs":null,"delta":{')
        if b'"role":"assistant","content":null}' in block:
            block = block.replace(b'"content":null}', b'"content":""}')
        return block

    def _one(self, event: bytes) -> bytes:
        if b'"usage":{' not in event:
            event = event.replace(_OBJECT, _OBJECT + b',"usage":null')
        return event.replace(b'"delta":{', b'"logprobs":null,"delta":{')


class ReadChat:
    """Logprobs or several answers: each chunk is read, since the engine gives both another form."""

    def __init__(self, asked: shapes.Body, stats: RequestStats) -> None:
        self._asked = asked
        self._has_usage = _has_usage(asked)
        self._figures = stats
        self._total = UsageTotal(asked)

    def __call__(self, block: bytes) -> bytes:
        _note_timings(block, self._figures)
        return b"".join(self._one(event) for event in _events(block))

    def _one(self, event: bytes) -> bytes:
        if not event.startswith(b"data: {"):
            return b"" if event == _NOTHING else event + b"\n\n"
        chunk = json.loads(event[6:])
        for choice in chunk.get("choices", ()):
            choice["logprobs"] = chat_logprobs(choice.get("logprobs"), self._asked)
            if choice["delta"].get("role") and choice["delta"].get("content", "") is None:
                choice["delta"]["content"] = ""
        if chunk.get("usage") is not None:
            # The engine sends a count for each answer; the published stream has one, of all, at its end.
            chunk["usage"] = self._total.add(chunk["usage"])
            if chunk["usage"] is None:
                return b""
        if self._has_usage:
            chunk.setdefault("usage", None)
        return b"data: " + _dump(chunk) + b"\n\n"


class PlainText:
    """Text completions: the id has another prefix, and the count a chunk of its own, at the end."""

    def __init__(self, asked: shapes.Body, stats: RequestStats) -> None:
        self._has_usage = _has_usage(asked)
        self._figures = stats
        self._total = UsageTotal(asked)

    def __call__(self, block: bytes) -> bytes:
        _note_timings(block, self._figures)
        block = block.replace(_NOTHING + b"\n\n", b"").replace(b'"id":"chatcmpl-', b'"id":"cmpl-')
        if b'"usage":{' in block:  # with the last chunk of each answer
            return b"".join(self._counted(event) for event in _events(block))
        return block.replace(_TEXT_OBJECT, _TEXT_OBJECT + b',"usage":null') if self._has_usage else block

    def _counted(self, event: bytes) -> bytes:
        if b'"usage":{' not in event:
            rest = event.replace(_TEXT_OBJECT, _TEXT_OBJECT + b',"usage":null') if self._has_usage else event
            return rest + b"\n\n"
        chunk = json.loads(event[6:])
        total = self._total.add(chunk.pop("usage"), chunk["choices"][0]["index"])
        if not self._has_usage:
            return b"data: " + _dump(chunk) + b"\n\n"
        last = b"data: " + _dump(chunk | {"usage": None}) + b"\n\n"
        if total is not None:
            last += b"data: " + _dump(chunk | {"choices": [], "usage": total}) + b"\n\n"
        return last


class LogprobText(PlainText):
    """Text completions with logprobs, whose offsets go on from chunk to chunk."""

    def __init__(self, asked: shapes.Body, stats: RequestStats) -> None:
        super().__init__(asked, stats)
        self._asked = asked
        self._offsets: dict[int, int] = {}

    def __call__(self, block: bytes) -> bytes:
        return b"".join(self._one(event) for event in _events(super().__call__(block)))

    def _one(self, event: bytes) -> bytes:
        if not event.startswith(b"data: {"):
            return event + b"\n\n"
        chunk = json.loads(event[6:])
        for choice in chunk.get("choices", ()):
            index = choice["index"]
            choice["logprobs"], self._offsets[index] = text_logprobs(
                choice.get("logprobs"), self._offsets.get(index, 0), self._asked
            )
        return b"data: " + _dump(chunk) + b"\n\n"


class Messages:
    """Anthropic's events: tokens pass as they are, the few others are completed."""

    def __init__(self, asked: shapes.Body, stats: RequestStats) -> None:
        self._asked = asked
        self._figures = stats

    def __call__(self, block: bytes) -> bytes:
        if block.startswith(b"event: content_block_delta\n") and block.count(b"\n\n") == 1:
            return block
        return b"".join(self._one(event) for event in _events(block))

    def _one(self, event: bytes) -> bytes:
        name, found, data = event.partition(b"\ndata: ")
        if not found or name == b"event: content_block_delta":
            return event + b"\n\n"
        body = json.loads(data)
        kind = body.get("type")
        if kind == "message_start":
            body["message"] = complete(Dialect.MESSAGES, body["message"], self._asked)
            self._figures.note_usage(body["message"]["usage"])
        elif kind == "content_block_start":
            complete_block(body["content_block"])
        elif kind == "message_delta":
            self._figures.note_usage(complete_delta_usage(body["usage"]))
            tell_stop_sequence(body["delta"])
        return name + b"\ndata: " + _dump(body) + b"\n\n"


_DELTA = b'data: {"type":"response.output_text.delta",'


class Responses:
    """The events of /v1/responses: the engine leaves out the numbers that place an event in the answer."""

    def __init__(self, asked: shapes.Body, stats: RequestStats) -> None:
        self._asked = asked
        self._figures = stats
        self._number = -1
        self._outputs: dict[str, int] = {}
        self._output = 0
        self._created = int(now_s())

    def __call__(self, block: bytes) -> bytes:
        _note_timings(block, self._figures)
        return b"".join(self._one(event) for event in _events(block))

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
        return b"event: " + kind + b"\ndata: " + _dump(body) + b"\n\n"

    def _complete(self, body: Json) -> Json:
        body["sequence_number"] = self._number
        kind = str(body.get("type"))
        if "response" in body:
            body["response"].setdefault("created_at", self._created)
            body["response"].setdefault("model", self._figures.model_id)
            body["response"] = complete(
                Dialect.RESPONSES, body["response"], self._asked, self._figures.context_size
            )
            self._figures.note_usage(body["response"].get("usage") or {})
            if body["response"]["status"] == "incomplete":
                body["type"] = "response.incomplete"
        elif kind.startswith("response.output_item."):
            body.setdefault("output_index", self._place(body["item"].get("id")))
            for part in body["item"].get("content") or ():
                complete_part(part)
        else:
            body.setdefault("output_index", self._place(body.get("item_id")))
            if kind.startswith(("response.content_part.", "response.output_text.")):
                body.setdefault("content_index", 0)
            if kind.startswith("response.reasoning"):
                body.setdefault("summary_index" if "summary" in kind else "content_index", 0)
            if "part" in body:
                complete_part(body["part"])
            if kind.startswith("response.output_text."):
                body.setdefault("logprobs", [])
        body.pop("timings", None)
        return body

    def _place(self, item_id: object) -> int:
        """The number of an item in the answer, by the order of their first mention."""
        self._output = self._outputs.setdefault(str(item_id), len(self._outputs))
        return self._output


class Untouched:
    """Events that no schema speaks of."""

    def __init__(self, asked: shapes.Body, stats: RequestStats) -> None:
        self._figures = stats

    def __call__(self, block: bytes) -> bytes:
        _note_timings(block, self._figures)
        return block


Rewriter = Callable[[bytes], bytes]


def rewriter(dialect: Dialect, asked: shapes.Body, stats: RequestStats) -> Rewriter:
    """What makes the engine's events of this answer conform; `stats` hears of its counts on the way."""
    if dialect is Dialect.CHAT:
        must_read = getattr(asked, "logprobs", None) or (getattr(asked, "n", None) or 1) > 1
        return (ReadChat if must_read else PlainChat)(asked, stats)
    if dialect is Dialect.TEXT:
        has_logprobs = getattr(asked, "logprobs", None) is not None
        return (LogprobText if has_logprobs else PlainText)(asked, stats)
    if dialect is Dialect.MESSAGES:
        return Messages(asked, stats)
    if dialect is Dialect.RESPONSES:
        return Responses(asked, stats)
    return Untouched(asked, stats)
