"""What the types of these requests do not say."""

from __future__ import annotations

from foundrylocal.gateway.dialects.openai_chat.check import check_messages
from foundrylocal.gateway.dialects.plain.shapes import Document, EmbeddingBody, RerankBody, TemplateBody
from foundrylocal.gateway.dialects.refusals import refuse


def check_embedding(body: EmbeddingBody) -> None:
    """Raises InvalidRequest."""
    if body.input == "" or (isinstance(body.input, list) and "" in body.input):
        refuse("input", "must not be an empty string")


def check_rerank(body: RerankBody) -> None:
    """Documents may be objects with a text: the engine takes the text."""
    body.documents = [one.text if isinstance(one, Document) else one for one in body.documents]


def check_template(body: TemplateBody) -> None:
    """Raises InvalidRequest."""
    check_messages(body.messages)
