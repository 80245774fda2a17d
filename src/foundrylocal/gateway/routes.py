"""The gateway's paths: where each leads in the engine, what its body must be, and what it asks of a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from foundrylocal.gateway.dialects import shapes
from foundrylocal.gateway.dialects.anthropic import shapes as shapes_messages
from foundrylocal.gateway.dialects.responses import shapes as shapes_responses


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
class Route:
    """One path; `takes_slot` is whether the engine computes for it, and so how many may at once."""

    path: str
    shape: type[shapes.Body]
    dialect: Dialect
    ability: Ability = Ability.GENERATE
    takes_slot: bool = True


_ALL = (
    Route("/v1/chat/completions", shapes.ChatBody, Dialect.CHAT),
    Route("/v1/completions", shapes.CompletionBody, Dialect.TEXT),
    Route("/v1/embeddings", shapes.EmbeddingBody, Dialect.PLAIN, Ability.EMBED),
    Route("/v1/rerank", shapes.RerankBody, Dialect.PLAIN, Ability.RERANK),
    Route("/v1/responses", shapes_responses.ResponsesBody, Dialect.RESPONSES),
    Route("/v1/responses/input_tokens", shapes_responses.ResponsesBody, Dialect.PLAIN, takes_slot=False),
    Route("/v1/messages", shapes_messages.MessagesBody, Dialect.MESSAGES),
    Route("/v1/messages/count_tokens", shapes_messages.CountBody, Dialect.MESSAGES, takes_slot=False),
    Route("/infill", shapes.InfillBody, Dialect.PLAIN),
    Route("/tokenize", shapes.TokenizeBody, Dialect.PLAIN, Ability.ANY, takes_slot=False),
    Route("/detokenize", shapes.DetokenizeBody, Dialect.PLAIN, Ability.ANY, takes_slot=False),
    Route("/apply-template", shapes.TemplateBody, Dialect.PLAIN, takes_slot=False),
)
ROUTES = {endpoint.path: endpoint for endpoint in _ALL}
