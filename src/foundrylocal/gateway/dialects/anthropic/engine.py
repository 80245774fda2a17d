"""A message request in the engine's form: its own messages, or its chat where an answer has to keep a constraint.

The engine's messages drop a grammar, its chat does not.
"""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.anthropic.as_chat import chat_fields
from foundrylocal.gateway.dialects.anthropic.formats import format_constraint
from foundrylocal.gateway.dialects.anthropic.shapes import CountBody, MessagesBody
from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import Json, engine_fields
from foundrylocal.gateway.dialects.constrained.engine import (
    MAX_PARALLEL_CALLS,
    OfferedTool,
    ToolUse,
    engine_form,
)
from foundrylocal.gateway.dialects.openai_chat.dialect import CHAT_PATH
from foundrylocal.gateway.limits.schema_text import SchemaBudget

_TOOL_FIELDS = ("tools", "tool_choice")


def messages_request(body: CountBody, path: str) -> EngineRequest:
    """The request to the engine. Raises InvalidRequest for a schema that cannot be kept."""
    budget = SchemaBudget()
    words = format_constraint(body, budget) if isinstance(body, MessagesBody) else None
    form = engine_form(
        _tool_use(body),
        words,
        budget,
        field=body.constraint_field or "tools",
        kwargs=None,
        must_end=not getattr(body, "stop_sequences", None),
        own_tool=_own_tool,
    )
    if form.constraint is not None and isinstance(body, MessagesBody):
        chat = msgspec.json.encode(chat_fields(body) | form.fields)
        return EngineRequest(CHAT_PATH, chat, form.constraint, form.new_filter)
    fields = {name: value for name, value in engine_fields(body).items() if name not in _TOOL_FIELDS}
    return EngineRequest(path, msgspec.json.encode(fields | form.fields))


def is_by_chat(body: MessagesBody) -> bool:
    """Whether the request goes by way of the engine's chat, and so its answer comes from there."""
    choice = body.tool_choice
    return body.has_format or (choice is not None and choice.type in ("any", "tool"))


def _tool_use(body: CountBody) -> ToolUse:
    tools = [
        OfferedTool(tool.name, tool.description, tool.input_schema, f"tools[{number}].input_schema")
        for number, tool in enumerate(body.tools or ())
    ]
    choice = body.tool_choice
    if choice is None:
        return ToolUse(tools, tools)
    if choice.type == "none":
        return ToolUse(tools)
    names = {choice.name} if choice.type == "tool" else {tool.name for tool in tools}
    max_calls = MAX_PARALLEL_CALLS if choice.disable_parallel_tool_use is False else 1
    is_required = choice.type in ("any", "tool")
    return ToolUse(tools, [tool for tool in tools if tool.name in names], is_required, max_calls)


def _own_tool(tool: OfferedTool, parameters: Json) -> Json:
    return {"name": tool.name, "input_schema": parameters}
