"""What the types of a Responses request do not say; its conversation becomes the engine's in `items`."""

from __future__ import annotations

from foundrylocal.gateway.dialects.body import Json, engine_seed
from foundrylocal.gateway.dialects.openai_chat.shapes import JsonFormat, NamedSchema, SchemaFormat
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.dialects.responses.items import items_for_engine
from foundrylocal.gateway.dialects.responses.shapes import ChosenFunction, OnlyAllowed, ResponsesBody


def check_responses(body: ResponsesBody) -> None:
    """Check a request; its input becomes the engine's. Raises InvalidRequest that names the field."""
    for name in ("previous_response_id", "conversation", "background"):
        if getattr(body, name):
            refuse(name, "is not supported: nothing is stored, so send the whole conversation as 'input'")
    if body.text is not None and body.text.format is not None:
        body.response_format = _response_format(body.text.format)
    _check_tools(body)
    body.seed = engine_seed(body.seed)
    if isinstance(body.input, list):
        body.input = items_for_engine(body.input)


def _check_tools(body: ResponsesBody) -> None:
    for tool in body.tools or ():
        if tool.parameters is None:  # a function without arguments; the engine requires a schema
            tool.parameters = {"type": "object", "properties": {}}
    choice = body.tool_choice
    names = {tool.name for tool in body.tools or ()}
    if isinstance(choice, ChosenFunction) and choice.name not in names:
        refuse("tool_choice.name", "names a function that is not in 'tools'")
    if isinstance(choice, OnlyAllowed) and not names.issuperset(tool.name for tool in choice.tools):
        refuse("tool_choice.tools", "names a function that is not in 'tools'")
    if choice == "required" and not body.tools:
        refuse("tool_choice", "is 'required', and there are no 'tools'")


def _response_format(wanted: Json) -> SchemaFormat | JsonFormat | None:
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
