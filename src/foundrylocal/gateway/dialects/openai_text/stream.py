"""The engine's text chunks completed to what the published schema requires.

Invariant: whole events in, whole events out; a chunk without a count or logprobs is not parsed.
"""

from __future__ import annotations

import json

from foundrylocal.gateway.dialects.events import NO_DATA, dump, note_timings, split_events
from foundrylocal.gateway.dialects.ids import replace_prefix
from foundrylocal.gateway.dialects.logprobs import TokenNames
from foundrylocal.gateway.dialects.openai_text.answer import ID_PREFIX, text_logprobs
from foundrylocal.gateway.dialects.openai_text.shapes import CompletionBody
from foundrylocal.gateway.dialects.usage import UsageTotal
from foundrylocal.gateway.stats.request_stats import RequestStats

_OBJECT = b'"object":"text_completion"'
_ID_PREFIX = ID_PREFIX.encode()


class UnparsedText:
    """Text completions: the id has another prefix, and the count comes in a chunk of its own, at the end."""

    def __init__(self, body: CompletionBody, stats: RequestStats) -> None:
        self._wants_usage = body.wants_usage
        self._stats = stats
        self._total = UsageTotal(body)

    def __call__(self, block: bytes) -> bytes:
        note_timings(block, self._stats)
        block = replace_prefix(_ID_PREFIX, block.replace(NO_DATA + b"\n\n", b""))
        if b'"usage":{' in block:  # with the last chunk of each answer
            return b"".join(self._counted(event) for event in split_events(block))
        return block.replace(_OBJECT, _OBJECT + b',"usage":null') if self._wants_usage else block

    def _counted(self, event: bytes) -> bytes:
        if b'"usage":{' not in event:
            rest = event.replace(_OBJECT, _OBJECT + b',"usage":null') if self._wants_usage else event
            return rest + b"\n\n"
        chunk = json.loads(event[6:])
        total = self._total.add(chunk.pop("usage"), chunk["choices"][0]["index"])
        if not self._wants_usage:
            return b"data: " + dump(chunk) + b"\n\n"
        last = b"data: " + dump(chunk | {"usage": None}) + b"\n\n"
        if total is not None:
            last += b"data: " + dump(chunk | {"choices": [], "usage": total}) + b"\n\n"
        return last


class ParsedText(UnparsedText):
    """Text completions with logprobs, whose offsets run on from chunk to chunk."""

    def __init__(self, body: CompletionBody, stats: RequestStats) -> None:
        super().__init__(body, stats)
        self._body = body
        self._offsets: dict[int, int] = {}
        self._names: dict[int, TokenNames] = {}

    def __call__(self, block: bytes) -> bytes:
        return b"".join(self._one(event) for event in split_events(super().__call__(block)))

    def _one(self, event: bytes) -> bytes:
        if not event.startswith(b"data: {"):
            return event + b"\n\n"
        chunk = json.loads(event[6:])
        for choice in chunk.get("choices", ()):
            index, given = choice["index"], choice.get("logprobs")
            if given and given.get("content") is not None:
                names = self._names.setdefault(index, TokenNames())
                given = {"content": names.add(given["content"])}
            choice["logprobs"], self._offsets[index] = text_logprobs(
                given, self._offsets.get(index, 0), self._body
            )
        return b"data: " + dump(chunk) + b"\n\n"
