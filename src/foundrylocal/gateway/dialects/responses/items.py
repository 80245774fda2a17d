"""The items of a conversation in the forms that the engine knows.

Invariant: every item that goes on is written anew from its shape; one of another kind is refused by its place.
"""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.arguments import engine_arguments
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid
from foundrylocal.gateway.dialects.responses.shapes import (
    CallItem,
    CallOutputItem,
    InputImage,
    InputText,
    Item,
    MessageItem,
    ReferenceItem,
    Refusal,
)
from foundrylocal.gateway.limits.images import check_image


def items_for_engine(given: list[Json]) -> list[Json]:
    """The items that the engine gets. Raises InvalidRequest that names the place."""
    items: list[Json] = []
    for number, item in enumerate(given):
        place = f"input[{number}]"
        items += _for_engine(_parse(item, place), place)
    if not items:
        refuse("input", "must hold a message")
    _join_prefill(items)
    return items


def _join_prefill(items: list[Json]) -> None:
    """Write the text of a last message that the model is to continue as one part; an empty one begins nothing."""
    last = items[-1]
    if last.get("role") == "assistant":
        text = "".join(part["text"] for part in last["content"])
        last["content"] = [_text(text, is_output=True)]
        if not text and len(items) > 1:
            items.pop()


def _parse(given: Json, place: str) -> Item:
    """One item by its shape; a message may come without its type."""
    try:
        item: Item = msgspec.convert({"type": "message", **given}, Item)
    except msgspec.ValidationError as error:
        refuse_invalid(str(error), place)
    return item


def _for_engine(item: Item, place: str) -> list[Json]:
    """The item as the engine takes it; none for what the model does not read again."""
    if isinstance(item, MessageItem):
        return [_message(item, place)]
    if isinstance(item, CallItem):
        item.arguments = engine_arguments(item.arguments, f"{place}.arguments")
        return [msgspec.to_builtins(item)]
    if isinstance(item, CallOutputItem):
        return [
            {"type": "function_call_output", "call_id": item.call_id, "output": _output(item.output, place)}
        ]
    if isinstance(item, ReferenceItem):
        refuse(place, "refers to an item that is not stored: send the item itself")
    return []


def _output(output: str | list[InputText | InputImage], place: str) -> str | list[Json]:
    """The result of a call: one text, or its parts when there is an image among them."""
    if isinstance(output, str):
        return output
    for number, part in enumerate(output):
        if isinstance(part, InputImage):
            check_image(part.image_url, f"{place}.output[{number}].image_url")
    if any(isinstance(part, InputImage) for part in output):
        return [msgspec.to_builtins(part) for part in output]
    return "".join(part.text for part in output if isinstance(part, InputText))


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
