"""A text completion in the engine's form."""

from __future__ import annotations

from foundrylocal.gateway.dialects.assembly import AS_STREAM
from foundrylocal.gateway.dialects.body import Json, engine_fields
from foundrylocal.gateway.dialects.logprobs import MAX_ALTERNATIVES
from foundrylocal.gateway.dialects.openai_text.shapes import CompletionBody


def completion_for_engine(body: CompletionBody) -> Json:
    """The fields that the engine gets."""
    fields = engine_fields(body)
    # The engine takes 0 as no logprobs at all, and stop strings need more; the answer loses those alternatives again.
    if body.logprobs is not None:
        fields["logprobs"] = MAX_ALTERNATIVES if body.stop else body.logprobs or 1
    if body.answer_count > 1 and not body.is_stream:
        fields |= AS_STREAM
    return fields
