"""What the types of a Responses request do not say."""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.openai_chat.shapes import JsonFormat, NamedSchema, SchemaFormat
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid
from foundrylocal.gateway.dialects.responses.shapes import (
    AllowedTools,
    ChosenFunction,
    FunctionTool,
    ResponsesBody,
)


def check_responses(body: ResponsesBody) -> None:
    """Refuse what would not be done as the request has it. Raises InvalidRequest that names the field."""
    if body.conversation is not None:
        refuse(
            "conversation",
            "is not supported: use 'previous_response_id', or send the conversation as 'input'",
        )
    if body.background:
        refuse("background", "is not supported: responses are computed while the client waits")
    if body.input is None and body.previous_response_id is None:
        refuse("input", "is required")


def choice_of(body: ResponsesBody) -> str | ChosenFunction | AllowedTools | None:
    """What the model may or must call. Raises InvalidRequest."""
    given = body.tool_choice
    if not isinstance(given, dict):
        return given
    kind = given.get("type")
    if kind not in ("function", "allowed_tools"):
        refuse("tool_choice.type", f"is '{str(kind)[:50]}', a tool that this service does not run")
    try:
        if kind == "function":
            return msgspec.convert(given, ChosenFunction)
        return msgspec.convert(given, AllowedTools)
    except msgspec.ValidationError as error:
        refuse_invalid(str(error), "tool_choice")


def functions_of(body: ResponsesBody) -> list[FunctionTool]:
    """The functions of a request, when its choice among them is possible. Raises InvalidRequest."""
    functions = body.tools or []
    choice = choice_of(body)
    names = {tool.name for tool in functions}
    if isinstance(choice, ChosenFunction) and choice.name not in names:
        refuse("tool_choice.name", "names a function that is not in 'tools'")
    if isinstance(choice, AllowedTools) and not {tool.name for tool in choice.tools} <= names:
        refuse("tool_choice.tools", "names a function that is not in 'tools'")
    if choice == "required" and not functions:
        refuse("tool_choice", "requires a call, but 'tools' has no function that the model could call")
    return functions


def format_of(body: ResponsesBody) -> SchemaFormat | JsonFormat | None:
    """The form that the answer must have. Raises InvalidRequest."""
    wanted = (body.text.format if body.text is not None else None) or {"type": "text"}
    kind = wanted.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return JsonFormat()
    if kind != "json_schema" or not isinstance(wanted.get("schema"), dict):
        refuse(
            "text.format", "must be of the type text, json_object or json_schema, the latter with a schema"
        )
    return SchemaFormat(NamedSchema(wanted["schema"], str(wanted.get("name") or "answer")))
