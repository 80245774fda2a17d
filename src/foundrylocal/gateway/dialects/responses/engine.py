"""A Responses request as a chat request."""

from __future__ import annotations

from typing import Any, cast

from foundrylocal.gateway.dialects.body import Json, engine_seed
from foundrylocal.gateway.dialects.openai_chat import shapes as chat_shapes
from foundrylocal.gateway.dialects.openai_chat.engine import Places
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody
from foundrylocal.gateway.dialects.responses.check import choice_of, format_of, functions_of
from foundrylocal.gateway.dialects.responses.compaction import INSTRUCTIONS, MAX_SUMMARY_TOKENS
from foundrylocal.gateway.dialects.responses.items import messages_of
from foundrylocal.gateway.dialects.responses.shapes import (
    AllowedTools,
    ChosenFunction,
    ResponsesBody,
)


def chat_of(body: ResponsesBody, items: list[Json]) -> ChatBody:
    """The same request to the engine's chat; `items` is the whole conversation. Raises InvalidRequest."""
    chat = ChatBody(messages=messages_of(items, body.instructions), stream=body.stream)
    _add_tools(chat, body)
    chat.response_format = format_of(body)
    chat.max_tokens, chat.temperature, chat.top_p = body.max_output_tokens, body.temperature, body.top_p
    chat.presence_penalty, chat.frequency_penalty = body.presence_penalty, body.frequency_penalty
    chat.seed = engine_seed(body.seed)
    if body.reasoning is not None:
        chat.reasoning_effort = body.reasoning.effort
    if body.wants_logprobs:
        chat.logprobs, chat.top_logprobs = True, body.top_logprobs or 0
    return chat


def summary_chat_of(items: list[Json], instructions: str | None) -> ChatBody:
    """A request for a summary of the conversation."""
    items = [*items, {"role": "user", "content": INSTRUCTIONS}]
    return ChatBody(messages=messages_of(items, instructions), max_tokens=MAX_SUMMARY_TOKENS)


def _add_tools(chat: ChatBody, body: ResponsesBody) -> None:
    functions = functions_of(body)
    if not functions:
        return
    chat.tools = [
        chat_shapes.Tool(
            "function",
            chat_shapes.Function(tool.name, tool.description, tool.parameters, tool.strict),
        )
        for tool in functions
    ]
    chat.parallel_tool_calls = body.parallel_tool_calls
    choice = choice_of(body)
    if isinstance(choice, ChosenFunction):
        chat.tool_choice = _chosen(choice)
    elif isinstance(choice, AllowedTools):
        allowed = chat_shapes.AllowedTools(choice.mode, [_chosen(tool) for tool in choice.tools])
        chat.tool_choice = chat_shapes.OnlyAllowed(allowed)
    else:
        chat.tool_choice = cast(Any, choice)


def _chosen(function: ChosenFunction) -> chat_shapes.ChosenTool:
    return chat_shapes.ChosenTool(chat_shapes.ChosenFunction(function.name))


def places_of(body: ResponsesBody) -> Places:
    """Where the request has its schemas."""
    tools = [f"tools[{number}].parameters" for number in range(len(body.tools or ()))]
    return Places("text.format.schema", body.constraint_field, tools)
