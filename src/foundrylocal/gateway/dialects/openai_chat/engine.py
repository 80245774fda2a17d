"""A chat request in the engine's form."""

from __future__ import annotations

from foundrylocal.gateway.dialects.assembly import AS_STREAM
from foundrylocal.gateway.dialects.body import Json, engine_fields
from foundrylocal.gateway.dialects.logprobs import MAX_ALTERNATIVES
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody, ChosenTool


def chat_for_engine(body: ChatBody) -> Json:
    """The fields that the engine gets."""
    fields = engine_fields(body)
    # The engine takes 0 as no logprobs at all, and stop strings need more; the answer loses those alternatives again.
    if body.logprobs:
        fields["top_logprobs"] = MAX_ALTERNATIVES if body.stop else body.top_logprobs or 1
    # The engine takes a name for 'auto': the named tool becomes the only one, and one is required.
    if isinstance(body.tool_choice, ChosenTool):
        name = body.tool_choice.function.name
        fields["tools"] = [tool for tool in body.tools or () if tool.function.name == name]
        fields["tool_choice"] = "required"
    if body.answer_count > 1 and not body.is_stream:
        fields |= AS_STREAM
    return fields
