"""A text completion in the engine's form."""

from __future__ import annotations

from foundrylocal.gateway.dialects.assembly import AS_STREAM
from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import engine_fields
from foundrylocal.gateway.dialects.constrained.text import text_request
from foundrylocal.gateway.dialects.logprobs import MAX_ALTERNATIVES
from foundrylocal.gateway.dialects.openai_text.shapes import CompletionBody


def completion_request(body: CompletionBody, path: str) -> EngineRequest:
    """The request to the engine. Raises InvalidRequest for a schema or grammar that cannot be kept."""
    fields = engine_fields(body)
    # The engine takes 0 as no logprobs at all, and stop strings need more; the answer loses those alternatives again.
    if body.logprobs is not None:
        fields["logprobs"] = MAX_ALTERNATIVES if body.stop else body.logprobs or 1
    if body.answer_count > 1 and not body.is_stream:
        fields |= AS_STREAM
    return text_request(body, fields, path, must_end=not body.stop)
