"""The gateway's paths: where each leads in the engine, what its body must be, and what it asks of a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from foundrylocal.gateway import shapes, shapes_messages, shapes_responses


class Ability(Enum):
    """What a model is loaded for; the text is for people."""

    GENERATE = "generate text"
    EMBED = "compute embeddings"
    RERANK = "rerank documents"
    ANY = "tokenize"


class Dialect(Enum):
    """Whose schema the answer follows."""

    CHAT = "chat"
    TEXT = "text"
    RESPONSES = "responses"
    MESSAGES = "messages"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path; `takes_slot` is whether the engine computes for it, and so how many may at once."""

    path: str
    shape: type[shapes.Body]
    dialect: Dialect
    ability: Ability = Ability.GENERATE
    takes_slot: bool = True


_ALL = (
    Endpoint("/v1/chat/completions", shapes.ChatBody, Dialect.CHAT),
    Endpoint("/v1/completions", shapes.CompletionBody, Dialect.TEXT),
    Endpoint("/v1/embeddings", shapes.EmbeddingBody, Dialect.PLAIN, Ability.EMBED),
    Endpoint("/v1/rerank", shapes.RerankBody, Dialect.PLAIN, Ability.RERANK),
    Endpoint("/v1/responses", shapes_responses.ResponsesBody, Dialect.RESPONSES),
    Endpoint("/v1/responses/input_tokens", shapes_responses.ResponsesBody, Dialect.PLAIN, takes_slot=False),
    Endpoint("/v1/messages", shapes_messages.MessagesBody, Dialect.MESSAGES),
    Endpoint("/v1/messages/count_tokens", shapes_messages.CountBody, Dialect.MESSAGES, takes_slot=False),
    Endpoint("/infill", shapes.InfillBody, Dialect.PLAIN),
    Endpoint("/tokenize", shapes.TokenizeBody, Dialect.PLAIN, Ability.ANY, takes_slot=False),
    Endpoint("/detokenize", shapes.DetokenizeBody, Dialect.PLAIN, Ability.ANY, takes_slot=False),
    Endpoint("/apply-template", shapes.TemplateBody, Dialect.PLAIN, takes_slot=False),
)
ENDPOINTS = {endpoint.path: endpoint for endpoint in _ALL}
