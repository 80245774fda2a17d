"""The engine's event streams in bytes: split, read and written at the least cost for a token."""

from __future__ import annotations

import json
import re

import msgspec

from foundrylocal.gateway.stats.request_stats import RequestStats

NO_DATA = b"data: null"
"""What the engine sends first when it computes several answers."""
_STOP_REASON = re.compile(rb'"finish_reason":"([a-z_]{1,20})"')
_TIMINGS = re.compile(rb'"timings":(\{[^{}]*\})')
dump = msgspec.json.Encoder().encode


def without_cut_character(text: str, finish_reason: object) -> str:
    """A whole text of the engine as its stream has it: a character that the limit cut is in neither."""
    return text.removesuffix("\N{REPLACEMENT CHARACTER}") if finish_reason == "length" else text


def split_events(block: bytes) -> list[bytes]:
    """Whole events, without the blank lines that end them."""
    return block.split(b"\n\n")[:-1]


def whole_events(rest: bytes, read: bytes) -> tuple[bytes, bytes]:
    """The whole events in the bytes so far, and the beginning of one whose end is still to come."""
    block = rest + read if rest else read
    if block.endswith(b"\n\n"):
        return block, b""
    cut = block.rfind(b"\n\n")
    return (block[: cut + 2], block[cut + 2 :]) if cut >= 0 else (b"", block)


def note_timings(block: bytes, stats: RequestStats) -> None:
    """Note the engine's own account of a generation, which comes with its last event."""
    if b'"timings":{' in block:
        for found in _TIMINGS.finditer(block):
            stats.note_timings(json.loads(found[1]))
        # The same event has it, or the one before, which comes with it.
        if reason := _STOP_REASON.search(block):
            stats.note_stop_reason(reason[1].decode())
