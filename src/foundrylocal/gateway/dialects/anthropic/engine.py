"""A message request as a chat request."""

from __future__ import annotations

from foundrylocal.gateway.dialects.anthropic.conversation import messages_of
from foundrylocal.gateway.dialects.anthropic.shapes import CountBody, MessagesBody
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.openai_chat import shapes as chat_shapes
from foundrylocal.gateway.dialects.openai_chat.engine import Places
from foundrylocal.gateway.dialects.openai_chat.shapes import ChatBody
from foundrylocal.gateway.dialects.refusals import refuse

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_of(body: CountBody) -> ChatBody:
    """The same request to the engine's chat. Raises InvalidRequest that names the field."""
    chat = ChatBody(messages=messages_of(body))
    _add_tools(chat, body)
    chat.response_format = _format_of(body)
    if body.thinking is not None and body.thinking.type == "disabled":
        chat.chat_template_kwargs = {"enable_thinking": False}
    if isinstance(body, MessagesBody):
        chat.max_tokens, chat.stop, chat.stream = body.max_tokens, body.stop_sequences, body.stream
        chat.temperature, chat.top_p, chat.top_k = body.temperature, body.top_p, body.top_k
    return chat


def places_of(body: CountBody) -> Places:
    """Where the request has its schemas."""
    field = body.constraint_field
    tools = [f"tools[{number}].input_schema" for number in range(len(body.tools or ()))]
    return Places(f"{field}.schema", field, tools)


def thinking_budget(body: CountBody) -> Json:
    """The engine's own field for how long the model may think."""
    thinking = body.thinking
    if thinking is None or thinking.type != "enabled" or thinking.budget_tokens is None:
        return {}
    return {"thinking_budget_tokens": thinking.budget_tokens}


# --- tools ----------------------------------------------------------------------------------------------


def _add_tools(chat: ChatBody, body: CountBody) -> None:
    tools = body.tools or []
    choice = body.tool_choice
    if choice is not None and choice.type == "tool" and choice.name not in {tool.name for tool in tools}:
        hosted = ", ".join(sorted({str(kind)[:64] for kind in body.unsupported_tools or ()}))
        others = f", or one that this service does not run ({hosted})" if hosted else ""
        refuse("tool_choice.name", f"names a tool that is not in 'tools'{others}")
    if not tools:
        if choice is not None and choice.type == "any":
            refuse("tool_choice", "requires a call, but there are no 'tools'")
        return
    chat.tools = [
        chat_shapes.Tool(
            "function", chat_shapes.Function(tool.name, tool.description, tool.input_schema, tool.strict)
        )
        for tool in tools
    ]
    if choice is None:
        return
    if choice.disable_parallel_tool_use is not None:
        chat.parallel_tool_calls = not choice.disable_parallel_tool_use
    if choice.type != "tool":
        chat.tool_choice = _CHOICES[choice.type]  # type: ignore[assignment]
        return
    chat.tool_choice = chat_shapes.ChosenTool(chat_shapes.ChosenFunction(choice.name or ""))


# --- structured output ----------------------------------------------------------------------------------


def _format_of(body: CountBody) -> chat_shapes.SchemaFormat | None:
    """The schema that the answer must follow, under its name of today or the one it had before."""
    for name, given in (
        ("output_config.format", (body.output_config or {}).get("format")),
        ("output_format", body.output_format),
    ):
        if given is None:
            continue
        if not isinstance(given, dict) or given.get("type") != "json_schema":
            refuse(name, "must be of the type json_schema")
        schema = given.get("schema")
        if not isinstance(schema, dict):
            refuse(f"{name}.schema", "is required")
        return chat_shapes.SchemaFormat(chat_shapes.NamedSchema(schema, "answer"))
    return None
