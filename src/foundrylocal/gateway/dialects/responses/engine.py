"""A Responses request in the engine's form."""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json, engine_fields
from foundrylocal.gateway.dialects.responses.shapes import ChosenFunction, ResponsesBody


def responses_for_engine(body: ResponsesBody) -> Json:
    """The fields that the engine gets."""
    fields = engine_fields(body)
    # The engine takes a name for 'auto': the named tool becomes the only one, and one is required.
    if isinstance(body.tool_choice, ChosenFunction):
        name = body.tool_choice.name
        fields["tools"] = [tool for tool in body.tools or () if tool.name == name]
        fields["tool_choice"] = "required"
    return fields
