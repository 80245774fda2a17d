"""The engine's chat chunks completed to what the published schema requires.

Invariant: whole events in, whole events out. On the plain path a token costs a few searches in bytes: a pattern
with bare quotes cannot occur inside a JSON string.
"""

from __future__ import annotations

import json

from foundrylocal.gateway.dialects.events import NO_DATA, dump, note_timings, split_events
from foundrylocal.gateway.dialects.openai_chat.answer import chat_logprobs
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody
from foundrylocal.gateway.dialects.usage import UsageTotal
from foundrylocal.gateway.stats.request_stats import RequestStats

_OBJECT = b'"object":"chat.completion.chunk"'


class UnparsedChat:
    """One answer without logprobs: the engine's chunks lack a null or two, and nothing else."""

    def __init__(self, body: ChatBody, stats: RequestStats) -> None:
        self._wants_usage = body.wants_usage
        self._stats = stats

    def __call__(self, block: bytes) -> bytes:
        note_timings(block, self._stats)
        if self._wants_usage:
            if b'"usage":{' in block:  # the last event but one; those before it may have come with it
                return b"".join(self._one(event + b"\n\n") for event in split_events(block))
            block = block.replace(_OBJECT, _OBJECT + b',"usage":null')
        block = block.replace(b'"delta":{', b'"logprobs":null,"delta":{')
        if b'"role":"assistant","content":null}' in block:
            block = block.replace(b'"content":null}', b'"content":""}')
        return block

    def _one(self, event: bytes) -> bytes:
        if b'"usage":{' not in event:
            event = event.replace(_OBJECT, _OBJECT + b',"usage":null')
        return event.replace(b'"delta":{', b'"logprobs":null,"delta":{')


class ParsedChat:
    """Logprobs or several answers: each chunk is parsed, since the engine has both in another form."""

    def __init__(self, body: ChatBody, stats: RequestStats) -> None:
        self._body = body
        self._stats = stats
        self._total = UsageTotal(body)

    def __call__(self, block: bytes) -> bytes:
        note_timings(block, self._stats)
        return b"".join(self._one(event) for event in split_events(block))

    def _one(self, event: bytes) -> bytes:
        if not event.startswith(b"data: {"):
            return b"" if event == NO_DATA else event + b"\n\n"
        chunk = json.loads(event[6:])
        for choice in chunk.get("choices", ()):
            choice["logprobs"] = chat_logprobs(choice.get("logprobs"), self._body)
            if choice["delta"].get("role") and choice["delta"].get("content", "") is None:
                choice["delta"]["content"] = ""
        if chunk.get("usage") is not None:
            # The engine sends a count for each answer; the published stream has one for all, at its end.
            chunk["usage"] = self._total.add(chunk["usage"])
            if chunk["usage"] is None:
                return b""
        if self._body.wants_usage:
            chunk.setdefault("usage", None)
        return b"data: " + dump(chunk) + b"\n\n"
