"""What the types of /v1/responses do not say, and its conversation in the forms that the engine knows.

Invariant: every item that goes on is written anew from its shape; one of another kind is refused by its place.
"""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects import shapes
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid
from foundrylocal.gateway.dialects.responses.shapes import (
    CallItem,
    CallOutputItem,
    InputImage,
    Item,
    MessageItem,
    NamedOffer,
    ReferenceItem,
    Refusal,
    ResponsesBody,
)
from foundrylocal.gateway.limits.images import check_image
from foundrylocal.gateway.limits.json_depth import check_arguments
from foundrylocal.gateway.limits.json_schema import check_schema

Json = shapes.Json


def check_responses(asked: ResponsesBody) -> bool:
    """Whether it holds an image; its input becomes the engine's. Raises InvalidRequest."""
    for name in ("previous_response_id", "conversation", "background"):
        if getattr(asked, name):
            refuse(name, "is not supported: nothing is stored, so send the whole conversation as 'input'")
    if asked.text is not None and asked.text.format is not None:
        asked.response_format = _response_format(asked.text.format)
    _check_tools(asked)
    if asked.seed is not None:
        asked.seed &= 0xFFFFFFFF
    if isinstance(asked.input, str):
        return False
    items = [_item(item, f"input[{number}]") for number, item in enumerate(asked.input)]
    asked.input = [sent for item, place in items for sent in _for_engine(item, place)]
    if not asked.input:
        refuse("input", "must hold a message")
    return any(
        isinstance(part, InputImage)
        for item, _ in items
        if isinstance(item, MessageItem) and isinstance(item.content, list)
        for part in item.content
    )


def _check_tools(asked: ResponsesBody) -> None:
    for number, tool in enumerate(asked.tools or ()):
        if tool.parameters is None:  # a function without arguments; the engine wants it said
            tool.parameters = {"type": "object", "properties": {}}
        check_schema(tool.parameters, f"tools[{number}].parameters")
    choice = asked.tool_choice
    if isinstance(choice, NamedOffer) and choice.name not in {tool.name for tool in asked.tools or ()}:
        refuse("tool_choice.name", "names a function that is not in 'tools'")
    if choice == "required" and not asked.tools:
        refuse("tool_choice", "is 'required', and there are no 'tools'")


def _response_format(wanted: Json) -> shapes.SchemaFormat | shapes.JsonFormat | None:
    kind = wanted.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return shapes.JsonFormat()
    if kind != "json_schema" or not isinstance(wanted.get("schema"), dict):
        refuse(
            "text.format", "must be of the type text, json_object or json_schema, the latter with a schema"
        )
    check_schema(wanted["schema"], "text.format.schema")
    return shapes.SchemaFormat(shapes.NamedSchema(wanted["schema"], str(wanted.get("name") or "answer")))


# --- the conversation -----------------------------------------------------------------------------------


def _item(given: Json, place: str) -> tuple[Item, str]:
    """One item by its shape; a message may come without its type."""
    try:
        return msgspec.convert({"type": "message", **given}, Item), place
    except msgspec.ValidationError as error:
        refuse_invalid(str(error), place)


def _for_engine(item: Item, place: str) -> list[Json]:
    """The item as the engine takes it; none for what it need not read again."""
    if isinstance(item, MessageItem):
        return [_message(item, place)]
    if isinstance(item, CallItem):
        check_arguments(item.arguments, f"{place}.arguments")
        return [msgspec.to_builtins(item)]
    if isinstance(item, CallOutputItem):
        output = item.output if isinstance(item.output, str) else "".join(part.text for part in item.output)
        return [{"type": "function_call_output", "call_id": item.call_id, "output": output}]
    if isinstance(item, ReferenceItem):
        refuse(place, "refers to an item that is not here: nothing is stored, so send the item itself")
    return []


def _message(item: MessageItem, place: str) -> Json:
    """An assistant's parts are output and have to name their type, everybody else's are input."""
    is_output = item.role == "assistant"
    parts: list[Json] = []
    content = item.content
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, InputImage):
            if is_output:
                refuse(f"{place}.content[{number}]", "is an image, which an assistant's message cannot hold")
            check_image(part.image_url, f"{place}.content[{number}].image_url")
            parts.append(msgspec.to_builtins(part))
        else:
            parts.append(_text(part.refusal if isinstance(part, Refusal) else part.text, is_output))
    if isinstance(content, str):
        parts = [_text(content, is_output)]
    frame = {"type": "message", "status": "completed"} if is_output else {}
    return {**frame, "role": item.role, "content": parts}


def _text(text: str, is_output: bool) -> Json:
    return {"type": "output_text" if is_output else "input_text", "text": text}
