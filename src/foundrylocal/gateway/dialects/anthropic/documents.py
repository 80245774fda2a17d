"""Documents in a conversation: one of text is read as text, any other is refused by its place."""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.anthropic.shapes import (
    DocumentBlock,
    ImageBlock,
    SearchResultBlock,
    TextBlock,
)
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid

_Content = str | list[TextBlock | ImageBlock]


def read_document(block: DocumentBlock, place: str) -> list[TextBlock | ImageBlock]:
    """The title, context and content of a document. Raises InvalidRequest."""
    field = {"text": "data", "content": "content"}.get(str(block.source.get("type")))
    if field is None:
        refuse(f"{place}.source", "is not text: send the text of the document")
    try:
        content = msgspec.convert(block.source.get(field), _Content)
    except msgspec.ValidationError as error:
        refuse_invalid(str(error), f"{place}.source.{field}")
    head = [TextBlock(text) for text in (block.title, block.context) if text]
    return [*head, *([TextBlock(content)] if isinstance(content, str) else content)]


def read_search_result(block: SearchResultBlock) -> list[TextBlock]:
    """The title, source and content of a search result."""
    return [TextBlock(f"{block.title} ({block.source})"), *block.content]
