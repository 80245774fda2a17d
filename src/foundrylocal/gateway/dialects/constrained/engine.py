"""How the engine is asked for an answer that keeps a constraint, and shown tools.

The engine takes no grammar beside tools, and its own for tools neither forces a call nor enforces a schema. So
where a call is required, the tools reach the prompt through the template's arguments, and the answer is made to be
a call by our grammar. Where the model may answer in words, the engine's own parser of calls is used, with outlines
of the schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.constrained.chat_calls import ChatCalls
from foundrylocal.gateway.dialects.constrained.filters import FilterFactory, FollowedText
from foundrylocal.gateway.limits.adherence import Adherence
from foundrylocal.gateway.limits.constraint import CallableTool, Constraint, calls_constraint
from foundrylocal.gateway.limits.schema_text import SchemaBudget
from foundrylocal.gateway.limits.tool_schemas import OutlineBudget

MAX_PARALLEL_CALLS = 8
_KWARGS = "chat_template_kwargs"


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of a request; `place` is where the request has its parameters."""

    name: str
    description: str | None
    parameters: Json
    place: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """Which tools the answer may call. `shown` are in the prompt, all of them."""

    shown: Sequence[OfferedTool] = ()
    callable: Sequence[OfferedTool] = ()
    is_required: bool = False
    max_calls: int = 1


OwnTool = Callable[[OfferedTool, Json], Json]


@dataclass(frozen=True, slots=True)
class EngineForm:
    """What a request's constraint and tools become: fields for the engine, and the filter of its answer."""

    fields: Json
    constraint: Constraint | None = None
    new_filter: FilterFactory | None = None


def engine_form(
    use: ToolUse,
    words: Constraint | None,
    budget: SchemaBudget,
    *,
    field: str,
    kwargs: Json | None,
    must_end: bool,
    own_tool: OwnTool,
) -> EngineForm:
    """The fields for the tools of a request and for `words`, what an answer that is no call must look like.

    `field` names the constraint in errors, `kwargs` are the request's own arguments for the template, and `own_tool`
    writes a tool as the engine's endpoint takes it. Raises InvalidRequest.
    """
    kwargs = {**(kwargs or {})}
    if use.shown:
        kwargs["tools"] = [_as_shown(tool) for tool in use.shown]
    is_call = bool(use.callable) and (use.is_required or words is not None)
    if not is_call and words is None:
        return EngineForm(_with_kwargs(_engines_own(use, own_tool), kwargs))
    # Thoughts are no part of what the constraint allows: a template that can do without has none.
    kwargs["enable_thinking"] = False
    if words is not None and not is_call:
        new_filter: FilterFactory = partial(FollowedText, Adherence(words, field), field, must_end)
        return EngineForm(_with_kwargs({"grammar": words.grammar}, kwargs), words, new_filter)
    tools = [CallableTool(tool.name, tool.parameters, tool.place) for tool in use.callable]
    constraint = calls_constraint(tools, use.max_calls, budget, None if use.is_required else words)
    new_filter = partial(ChatCalls, Adherence(constraint, field), field, must_end, not use.is_required)
    return EngineForm(_with_kwargs({"grammar": constraint.grammar}, kwargs), constraint, new_filter)


def _engines_own(use: ToolUse, own_tool: OwnTool) -> Json:
    """Tools for the engine's own parser of calls."""
    if not use.callable:
        return {}
    budget = OutlineBudget()
    return {"tools": [own_tool(tool, budget.outline(tool.parameters)) for tool in use.callable]}


def chat_tool(tool: OfferedTool, parameters: Json) -> Json:
    """A tool in the form of the engine's chat."""
    return {"type": "function", "function": {"name": tool.name, "parameters": parameters}}


def _as_shown(tool: OfferedTool) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.parameters}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _with_kwargs(fields: Json, kwargs: Json) -> Json:
    return fields | {_KWARGS: kwargs} if kwargs else fields
