"""Dialects by way of the engine's chat: what they add to its request, and the engine's chat answers, decoded.

The engine speaks Responses and Messages itself, but leaves out what the published schemas require and what clients
rely on; its chat tells everything. So these dialects are translations of one API (docs/decisions/0025).

Invariant: a chat request is written by `openai_chat.engine` alone, so what holds for a chat holds for every dialect.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import field

from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.openai_chat import engine as openai_chat
from foundrylocal.gateway.dialects.openai_chat.check import join_prefill
from foundrylocal.gateway.dialects.openai_chat.engine import Places
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody
from foundrylocal.gateway.stats.request_stats import RequestStats

CHAT_PATH = "/v1/chat/completions"
COUNT_PATH = "/v1/chat/completions/input_tokens"
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_SETTING = "generation_settings/"
# The engine's own account of how an answer was made and ended.
_ACCOUNT: Json = {
    "verbose": True,
    "response_fields": ["stopping_word", *(_SETTING + name for name in _SAMPLING)],
}
_STREAM: Json = {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}


def chat_request(chat: ChatBody, places: Places, extra: Json | None = None) -> EngineRequest:
    """What the engine gets for an answer; `extra` holds further fields of the engine. Raises InvalidRequest."""
    fields = {**_ACCOUNT, **(extra or {})}
    if chat.is_stream:
        fields |= _STREAM
    join_prefill(chat.messages)
    return openai_chat.chat_request(chat, CHAT_PATH, fields, places)


def count_request(chat: ChatBody, places: Places) -> EngineRequest:
    """What the engine gets to count the tokens of a prompt, which keeps no constraint. Raises InvalidRequest."""
    join_prefill(chat.messages)
    return EngineRequest(COUNT_PATH, openai_chat.chat_request(chat, COUNT_PATH, None, places).body)


# --- the engine's answers -------------------------------------------------------------------------------


class FunctionPiece(msgspec.Struct):
    name: str = ""
    arguments: str = ""


class CallPiece(msgspec.Struct):
    """A call, or in a stream a piece of one: `id` and the name come first, then the arguments."""

    function: FunctionPiece = field(default_factory=FunctionPiece)
    id: str = ""
    index: int = 0


class Logprobs(msgspec.Struct):
    content: list[Json] | None = None


class Said(msgspec.Struct):
    """What the model said: a message, or in a stream a piece of one."""

    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[CallPiece] = []


class Choice(msgspec.Struct):
    message: Said = field(default_factory=Said)
    delta: Said = field(default_factory=Said)
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class CachedTokens(msgspec.Struct):
    cached_tokens: int = 0


class Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: CachedTokens = field(default_factory=CachedTokens)

    @property
    def cached_tokens(self) -> int:
        return self.prompt_tokens_details.cached_tokens


class Progress(msgspec.Struct):
    """How far the prompt is read: `total` tokens, of which `cache` were in memory."""

    total: int = 0
    cache: int = 0


class ChatAnswer(msgspec.Struct):
    """A whole answer, or a chunk of a stream."""

    id: str = ""
    created: int = 0
    choices: list[Choice] = []
    usage: Usage | None = None
    timings: dict[str, Any] = {}
    prompt_progress: Progress | None = None
    account: dict[str, Any] = field(default_factory=dict, name="__verbose")

    @property
    def stop_sequence(self) -> str | None:
        """The stop sequence that ended the answer."""
        return self.account.get("stopping_word") or None

    def sampling(self) -> dict[str, float]:
        """The values that the engine really used, as far as it tells."""
        used = {name: self.account.get(_SETTING + name) for name in _SAMPLING}
        return {name: round(float(value), 6) for name, value in used.items() if value is not None}


decode_answer = msgspec.json.Decoder(ChatAnswer).decode


def note_figures(answer: ChatAnswer, stats: RequestStats) -> None:
    """Note the figures of a whole answer, and why it ended."""
    stats.note_timings(answer.timings)
    stats.note_usage(msgspec.to_builtins(answer.usage) if answer.usage else {})
    stats.note_stop_reason(answer.choices[0].finish_reason if answer.choices else None)


def reasoning_tokens(usage: Usage, reasoning_chars: int, other_chars: int) -> int:
    """The tokens spent on reasoning, estimated by its share of the text: the engine does not count them apart."""
    chars = reasoning_chars + other_chars
    return round(usage.completion_tokens * reasoning_chars / chars) if chars else 0
