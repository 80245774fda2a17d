"""Anthropic's events: pieces of content pass as they are, the few others are completed.

Invariant: whole events in, whole events out, in the same order.
"""

from __future__ import annotations

import json

from foundrylocal.gateway.dialects.anthropic.answer import (
    complete_block,
    complete_delta_usage,
    complete_message,
    complete_stop,
)
from foundrylocal.gateway.dialects.events import dump, split_events
from foundrylocal.gateway.stats.request_stats import RequestStats


class MessagesStream:
    """Rewrites one stream."""

    def __init__(self, stats: RequestStats) -> None:
        self._stats = stats

    def __call__(self, block: bytes) -> bytes:
        if block.startswith(b"event: content_block_delta\n") and block.count(b"\n\n") == 1:
            return block
        return b"".join(self._one(event) for event in split_events(block))

    def _one(self, event: bytes) -> bytes:
        name, found, data = event.partition(b"\ndata: ")
        if not found or name == b"event: content_block_delta":
            return event + b"\n\n"
        body = json.loads(data)
        kind = body.get("type")
        if kind == "message_start":
            self._stats.note_usage(complete_message(body["message"])["usage"])
        elif kind == "content_block_start":
            complete_block(body["content_block"])
        elif kind == "message_delta":
            self._stats.note_usage(complete_delta_usage(body["usage"]))
            complete_stop(body["delta"])
        return name + b"\ndata: " + dump(body) + b"\n\n"
