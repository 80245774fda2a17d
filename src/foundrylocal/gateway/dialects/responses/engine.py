"""A Responses request in the engine's form."""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import Json, engine_fields
from foundrylocal.gateway.dialects.constrained.engine import (
    MAX_PARALLEL_CALLS,
    OfferedTool,
    ToolUse,
    engine_form,
)
from foundrylocal.gateway.dialects.constrained.responses_calls import ResponsesCalls
from foundrylocal.gateway.dialects.openai_chat.shapes import JsonFormat, SchemaFormat
from foundrylocal.gateway.dialects.responses.shapes import ChosenFunction, OnlyAllowed, ResponsesBody
from foundrylocal.gateway.limits.constraint import Constraint, schema_constraint
from foundrylocal.gateway.limits.schema_text import SchemaBudget

_CONSTRAINED = ("response_format", "tools", "tool_choice")
_ANY_ARGUMENTS: Json = {"type": "object"}


def responses_request(body: ResponsesBody, path: str) -> EngineRequest:
    """The request to the engine. Raises InvalidRequest for a schema that cannot be kept."""
    budget = SchemaBudget()
    form = engine_form(
        _tool_use(body),
        _words(body, budget),
        budget,
        field=body.constraint_field or "tools",
        kwargs=None,
        must_end=True,
        own_tool=_own_tool,
        calls_filter=ResponsesCalls,
    )
    fields = {name: value for name, value in engine_fields(body).items() if name not in _CONSTRAINED}
    return EngineRequest(path, msgspec.json.encode(fields | form.fields), form.constraint, form.new_filter)


def _words(body: ResponsesBody, budget: SchemaBudget) -> Constraint | None:
    wanted = body.response_format
    if isinstance(wanted, SchemaFormat) and wanted.json_schema.schema is not None:
        return schema_constraint(wanted.json_schema.schema, "text.format.schema", budget)
    if isinstance(wanted, JsonFormat):
        return schema_constraint({"type": "object"}, "text.format", budget)
    return None


def _tool_use(body: ResponsesBody) -> ToolUse:
    tools = [
        OfferedTool(
            tool.name, tool.description, tool.parameters or _ANY_ARGUMENTS, f"tools[{number}].parameters"
        )
        for number, tool in enumerate(body.tools or ())
    ]
    choice = body.tool_choice
    if choice == "none":
        return ToolUse(tools)
    names = {tool.name for tool in tools}
    is_required = choice == "required"
    if isinstance(choice, ChosenFunction):
        names, is_required = {choice.name}, True
    elif isinstance(choice, OnlyAllowed):
        names, is_required = {tool.name for tool in choice.tools}, choice.mode == "required"
    max_calls = MAX_PARALLEL_CALLS if body.parallel_tool_calls else 1
    return ToolUse(tools, [tool for tool in tools if tool.name in names], is_required, max_calls)


def _own_tool(tool: OfferedTool, parameters: Json) -> Json:
    return {"type": "function", "name": tool.name, "parameters": parameters}
