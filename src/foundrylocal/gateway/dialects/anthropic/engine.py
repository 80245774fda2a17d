"""A message request in the engine's form."""

from __future__ import annotations

from foundrylocal.gateway.dialects.anthropic.shapes import CountBody, ToolChoice
from foundrylocal.gateway.dialects.body import Json, engine_fields


def messages_for_engine(body: CountBody) -> Json:
    """The fields that the engine gets."""
    fields = engine_fields(body)
    # The engine takes a name for 'auto': the named tool becomes the only one, and one is required.
    choice = body.tool_choice
    if choice is not None and choice.type == "tool":
        fields["tools"] = [tool for tool in body.tools or () if tool.name == choice.name]
        fields["tool_choice"] = ToolChoice("any", None, choice.disable_parallel_tool_use)
    return fields
