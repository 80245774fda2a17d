"""The gateway's inference paths: the dialect that each speaks, and what it needs of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile
from typing import Any

from foundrylocal.gateway.dialects.anthropic.dialect import Messages, TokenCount
from foundrylocal.gateway.dialects.base import Dialect
from foundrylocal.gateway.dialects.ollama.dialect import Chat, Generate
from foundrylocal.gateway.dialects.ollama.embeddings import Embed
from foundrylocal.gateway.dialects.ollama.embeddings import Embeddings as OllamaEmbeddings
from foundrylocal.gateway.dialects.openai_chat.dialect import OpenAiChat
from foundrylocal.gateway.dialects.openai_text.dialect import OpenAiText
from foundrylocal.gateway.dialects.plain.check import check_rerank, check_template
from foundrylocal.gateway.dialects.plain.dialect import Infill, Plain, Template
from foundrylocal.gateway.dialects.plain.embeddings import Embeddings
from foundrylocal.gateway.dialects.plain.shapes import DetokenizeBody, RerankBody, TemplateBody, TokenizeBody
from foundrylocal.gateway.dialects.responses.dialect import Compact, Responses, ResponsesTokens
from foundrylocal.gateway.dialects.responses.store import ResponseStore


class Ability(Enum):
    """What a model is loaded for; the text is for people."""

    GENERATE = "generate text"
    EMBED = "compute embeddings"
    RERANK = "rerank documents"
    ANY = "tokenize"


@dataclass(frozen=True, slots=True)
class Route:
    """One path; `takes_slot` says whether the engine computes for it, which bounds how many run at once."""

    path: str
    dialect: Dialect[Any]
    ability: Ability = Ability.GENERATE
    takes_slot: bool = True


def build_routes(responses: ResponseStore) -> dict[str, Route]:
    """The inference routes by path; `responses` keeps what `/v1/responses` answered."""
    routes = (
        # The first one's dialect is that of paths which have nothing in common with any.
        Route("/v1/chat/completions", OpenAiChat()),
        Route("/v1/completions", OpenAiText()),
        Route("/v1/embeddings", Embeddings(), Ability.EMBED),
        Route("/v1/rerank", Plain("/v1/rerank", RerankBody, check_rerank), Ability.RERANK),
        Route("/v1/responses", Responses(responses)),
        Route("/v1/responses/compact", Compact(responses)),
        Route("/v1/responses/input_tokens", ResponsesTokens(responses), takes_slot=False),
        Route("/v1/messages", Messages()),
        Route("/v1/messages/count_tokens", TokenCount(), takes_slot=False),
        Route("/api/chat", Chat()),
        Route("/api/generate", Generate()),
        Route("/api/embed", Embed(), Ability.EMBED),
        Route("/api/embeddings", OllamaEmbeddings(), Ability.EMBED),
        Route("/infill", Infill()),
        Route("/tokenize", Plain("/tokenize", TokenizeBody), Ability.ANY, takes_slot=False),
        Route("/detokenize", Plain("/detokenize", DetokenizeBody), Ability.ANY, takes_slot=False),
        Route("/apply-template", Template("/apply-template", TemplateBody, check_template), takes_slot=False),
    )
    return {route.path: route for route in routes}


def error_dialect(path: str, routes: Mapping[str, Route]) -> Dialect[Any]:
    """The dialect that an error on any path is written in: that of the route which shares most of the path."""
    return max(routes.values(), key=lambda route: _shared_segments(route.path, path)).dialect


def _shared_segments(first: str, second: str) -> int:
    pairs = zip(first.split("/"), second.split("/"), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
