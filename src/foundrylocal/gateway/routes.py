"""The gateway's inference paths: the dialect that each speaks, and what it needs of a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from foundrylocal.gateway.dialects.anthropic.dialect import Messages, TokenCount
from foundrylocal.gateway.dialects.base import Dialect
from foundrylocal.gateway.dialects.openai_chat.dialect import OpenAiChat
from foundrylocal.gateway.dialects.openai_text.dialect import OpenAiText
from foundrylocal.gateway.dialects.plain import check as plain_checks
from foundrylocal.gateway.dialects.plain import shapes as plain_shapes
from foundrylocal.gateway.dialects.plain.dialect import Infill, Plain, Template
from foundrylocal.gateway.dialects.plain.embeddings import Embeddings
from foundrylocal.gateway.dialects.responses.dialect import Responses, ResponsesTokens


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


_RERANK = Plain("/v1/rerank", plain_shapes.RerankBody, plain_checks.check_rerank)
_INFILL = Infill()
_TOKENIZE = Plain("/tokenize", plain_shapes.TokenizeBody)
_DETOKENIZE = Plain("/detokenize", plain_shapes.DetokenizeBody)
_TEMPLATE = Template("/apply-template", plain_shapes.TemplateBody, plain_checks.check_template)
_CHAT = OpenAiChat()
_ANTHROPIC = TokenCount()
_ALL = (
    Route("/v1/chat/completions", _CHAT),
    Route("/v1/completions", OpenAiText()),
    Route("/v1/embeddings", Embeddings(), Ability.EMBED),
    Route("/v1/rerank", _RERANK, Ability.RERANK),
    Route("/v1/responses", Responses()),
    Route("/v1/responses/input_tokens", ResponsesTokens(), takes_slot=False),
    Route("/v1/messages", Messages()),
    Route("/v1/messages/count_tokens", _ANTHROPIC, takes_slot=False),
    Route("/infill", _INFILL),
    Route("/tokenize", _TOKENIZE, Ability.ANY, takes_slot=False),
    Route("/detokenize", _DETOKENIZE, Ability.ANY, takes_slot=False),
    Route("/apply-template", _TEMPLATE, takes_slot=False),
)
ROUTES = {route.path: route for route in _ALL}
# Whose clients read the errors below these paths, those of unknown endpoints too.
_ERROR_SHAPES: tuple[tuple[str, Dialect[Any]], ...] = (("/v1/messages", _ANTHROPIC),)


def error_dialect(path: str) -> Dialect[Any]:
    """The dialect in which an error on that path is written."""
    return next((dialect for prefix, dialect in _ERROR_SHAPES if path.startswith(prefix)), _CHAT)
