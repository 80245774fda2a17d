"""The engine's own answers to prompts without a chat, whole and in pieces."""

from __future__ import annotations

from typing import Any

import msgspec

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import Usage
from foundrylocal.gateway.dialects.ollama.answer import ending
from foundrylocal.gateway.dialects.ollama.shapes import GenerationBody
from foundrylocal.gateway.stats.request_stats import RequestStats


class TextPiece(msgspec.Struct):
    """A piece of an answer; the one that stops has the counts of all."""

    content: str = ""
    stop: bool = False
    stop_type: str = ""
    tokens_evaluated: int = 0
    tokens_predicted: int = 0
    timings: dict[str, Any] = {}


def whole_text(raw: bytes, body: GenerationBody, stats: RequestStats) -> Json:
    """The whole answer. Raises msgspec.DecodeError for anything that is not an answer."""
    piece = msgspec.json.decode(raw, type=TextPiece)
    return text_ending(piece, piece.content, body, stats)


def text_ending(piece: TextPiece, text: str, body: GenerationBody, stats: RequestStats) -> Json:
    """The end of an answer; it notes the engine's figures."""
    stats.note_timings(piece.timings)
    usage = Usage(piece.tokens_evaluated, piece.tokens_predicted)
    stats.note_usage({"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens})
    reason = "length" if piece.stop_type == "limit" else "stop"
    stats.note_stop_reason(reason)
    return ending(body, {"response": text}, reason, stats, usage)
