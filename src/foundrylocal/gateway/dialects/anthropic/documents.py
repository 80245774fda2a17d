"""Documents in a conversation: one of text is read as text, any other is refused by its place."""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.anthropic.shapes import (
    Block,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ToolResultBlock,
    Turn,
)
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid

_Content = str | list[TextBlock | ImageBlock]


def read_documents(turn: Turn, place: str) -> None:
    """Turn documents into text, those in results of tools too. Raises InvalidRequest."""
    if not isinstance(turn.content, list):
        return
    blocks: list[Block] = []
    for number, block in enumerate(turn.content):
        at = f"{place}[{number}]"
        if isinstance(block, DocumentBlock):
            blocks += _read(block, at)
            continue
        if isinstance(block, ToolResultBlock) and isinstance(block.content, list):
            parts: list[TextBlock | ImageBlock | DocumentBlock] = []
            for index, part in enumerate(block.content):
                at_part = f"{at}.content[{index}]"
                parts += _read(part, at_part) if isinstance(part, DocumentBlock) else [part]
            block.content = parts
        blocks.append(block)
    turn.content = blocks


def _read(block: DocumentBlock, place: str) -> list[TextBlock | ImageBlock]:
    field = {"text": "data", "content": "content"}.get(str(block.source.get("type")))
    if field is None:
        refuse(f"{place}.source", "is not text: send the text of the document")
    try:
        content = msgspec.convert(block.source.get(field), _Content)
    except msgspec.ValidationError as error:
        refuse_invalid(str(error), f"{place}.source.{field}")
    head = [TextBlock(text) for text in (block.title, block.context) if text]
    return [*head, *([TextBlock(content)] if isinstance(content, str) else content)]
