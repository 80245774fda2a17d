"""Ollama's chat and generate, by way of the engine's chat; raw prompts and infill go to the engine as text."""

from __future__ import annotations

from typing import Any

from foundrylocal.gateway.dialects.base import LOAD_ONLY, EngineRequest, Rewriter
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.by_chat import CHAT_PATH, decode_answer, note_figures
from foundrylocal.gateway.dialects.ollama.answer import (
    Content,
    chat_content,
    loaded_answer,
    prompt_content,
    whole_chat,
)
from foundrylocal.gateway.dialects.ollama.base import Ollama
from foundrylocal.gateway.dialects.ollama.engine import chat_to_engine, prompt_to_engine
from foundrylocal.gateway.dialects.ollama.shapes import ChatBody, GenerateBody, GenerationBody
from foundrylocal.gateway.dialects.ollama.stream import ChatLines, TextLines
from foundrylocal.gateway.dialects.ollama.text import whole_text
from foundrylocal.gateway.stats.request_stats import RequestStats


def _whole_chat(raw: bytes, body: GenerationBody, content: Content, stats: RequestStats) -> Json:
    answer = decode_answer(raw)
    note_figures(answer, stats)
    return whole_chat(answer, body, content, stats)


def _idle_answer(body: GenerationBody, content: Content) -> Json:
    return loaded_answer(body, content("", "", []), "unload" if body.keep_alive_s == 0 else "load")


class Chat(Ollama[ChatBody]):
    """POST /api/chat."""

    def __init__(self) -> None:
        super().__init__(CHAT_PATH, ChatBody)

    def to_engine(self, body: ChatBody) -> EngineRequest:
        return LOAD_ONLY if body.is_load_only else chat_to_engine(body)

    def whole(self, raw: bytes, body: ChatBody, stats: RequestStats) -> Any:
        return _whole_chat(raw, body, chat_content, stats)

    def stream(self, body: ChatBody, stats: RequestStats) -> Rewriter:
        return ChatLines(body, chat_content, stats)

    def idle_answer(self, body: ChatBody) -> Json:
        return _idle_answer(body, chat_content)


class Generate(Ollama[GenerateBody]):
    """POST /api/generate."""

    def __init__(self) -> None:
        super().__init__(CHAT_PATH, GenerateBody)

    def to_engine(self, body: GenerateBody) -> EngineRequest:
        return LOAD_ONLY if body.is_load_only else prompt_to_engine(body)

    def whole(self, raw: bytes, body: GenerateBody, stats: RequestStats) -> Any:
        if body.is_plain_text:
            return whole_text(raw, body, stats)
        return _whole_chat(raw, body, prompt_content, stats)

    def stream(self, body: GenerateBody, stats: RequestStats) -> Rewriter:
        return TextLines(body, stats) if body.is_plain_text else ChatLines(body, prompt_content, stats)

    def idle_answer(self, body: GenerateBody) -> Json:
        return _idle_answer(body, prompt_content)
