"""The content of chat messages, as the dialects that are translated to a chat write it."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UnsetType

from foundrylocal.gateway.dialects.openai_chat.shapes import (
    AudioPart,
    Content,
    ImagePart,
    RefusalPart,
    TextPart,
)

Parts: TypeAlias = list[TextPart | ImagePart | AudioPart | RefusalPart]


def content_of(parts: Parts, role: str = "user") -> Content:
    """Text as one string, which every template takes; with images the parts in their order.

    The parts of what a model said follow one another directly, others are paragraphs of their own.
    """
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    return ("" if role == "assistant" else "\n\n").join(texts) if len(texts) == len(parts) else parts


def join_content(first: Content | UnsetType | None, second: Content | UnsetType | None) -> Content:
    """The contents of two messages that are one."""
    return content_of(_parts(first) + _parts(second))


def _parts(content: Content | UnsetType | None) -> Parts:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return content if isinstance(content, list) else []
