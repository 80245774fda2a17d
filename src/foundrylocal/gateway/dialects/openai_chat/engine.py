"""A chat request in the engine's form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from foundrylocal.gateway.dialects.assembly import AS_STREAM
from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import Json, engine_fields
from foundrylocal.gateway.dialects.constrained.engine import (
    MAX_PARALLEL_CALLS,
    OfferedTool,
    ToolUse,
    chat_tool,
    engine_form,
)
from foundrylocal.gateway.dialects.constrained.first_call import FirstCallOnly
from foundrylocal.gateway.dialects.logprobs import MAX_ALTERNATIVES
from foundrylocal.gateway.dialects.openai_chat.replay import is_replayed
from foundrylocal.gateway.dialects.openai_chat.shapes import (
    ChatBody,
    ChosenTool,
    JsonFormat,
    OnlyAllowed,
    SchemaFormat,
    Tool,
)
from foundrylocal.gateway.dialects.sampling import sampling_constraint
from foundrylocal.gateway.limits.constraint import Constraint, schema_constraint
from foundrylocal.gateway.limits.schema_text import SchemaBudget

_CONSTRAINED = ("grammar", "json_schema", "response_format", "tools", "tool_choice")
_ANY_ARGUMENTS: Json = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Places:
    """Where a request has what may be wrong with it: another dialect's has the same at other places."""

    schema: str = "response_format.json_schema.schema"
    constraint: str | None = None
    tool_parameters: Sequence[str] = ()


_OWN_PLACES = Places()


def chat_request(
    body: ChatBody, path: str, extra: Json | None = None, places: Places = _OWN_PLACES
) -> EngineRequest:
    """The request to the engine; `extra` are fields that only the engine knows.

    Raises InvalidRequest for a schema or grammar that cannot be kept.
    """
    budget = SchemaBudget()
    form = engine_form(
        _tool_use(body, places),
        _words(body, budget, places),
        budget,
        field=places.constraint or body.constraint_field or "tools",
        kwargs=body.chat_template_kwargs,
        must_end=not body.stop,
        own_tool=chat_tool,
    )
    fields = {name: value for name, value in engine_fields(body).items() if name not in _CONSTRAINED}
    # The engine takes 0 as no logprobs at all, and stop strings need more; the answer loses those alternatives again.
    if body.logprobs:
        fields["top_logprobs"] = MAX_ALTERNATIVES if body.stop else body.top_logprobs or 1
    if body.answer_count > 1 and not body.is_stream:
        fields |= AS_STREAM
    if is_replayed(body):
        fields["stream"] = False
        fields.pop("stream_options", None)
    fields |= form.fields | (extra or {})
    new_filter = form.new_filter
    if new_filter is None and body.wants_tools and body.parallel_tool_calls is False:
        new_filter = FirstCallOnly
    return EngineRequest(path, msgspec.json.encode(fields), form.constraint, new_filter, body.prefill)


def _words(body: ChatBody, budget: SchemaBudget, places: Places) -> Constraint | None:
    wanted = body.response_format
    if isinstance(wanted, SchemaFormat) and wanted.json_schema.schema is not None:
        return schema_constraint(wanted.json_schema.schema, places.schema, budget)
    if isinstance(wanted, JsonFormat):
        return schema_constraint(wanted.schema or {"type": "object"}, "response_format.schema", budget)
    return sampling_constraint(body, budget)


def _tool_use(body: ChatBody, places: Places) -> ToolUse:
    tools = offered_tools(body.tools, places.tool_parameters)
    choice = body.tool_choice
    if choice == "none":
        return ToolUse(tools)
    names = {tool.name for tool in tools}
    is_required = choice == "required"
    if isinstance(choice, ChosenTool):
        names, is_required = {choice.function.name}, True
    elif isinstance(choice, OnlyAllowed):
        names = {tool.function.name for tool in choice.allowed_tools.tools}
        is_required = choice.allowed_tools.mode == "required"
    max_calls = MAX_PARALLEL_CALLS if body.parallel_tool_calls else 1
    return ToolUse(tools, [tool for tool in tools if tool.name in names], is_required, max_calls)


def offered_tools(tools: list[Tool] | None, places: Sequence[str] = ()) -> list[OfferedTool]:
    """The functions of a request; `places` are those of their parameters in it."""
    return [
        OfferedTool(
            tool.function.name,
            tool.function.description,
            tool.function.parameters or _ANY_ARGUMENTS,
            places[number] if places else f"tools[{number}].function.parameters",
        )
        for number, tool in enumerate(tools or ())
    ]
