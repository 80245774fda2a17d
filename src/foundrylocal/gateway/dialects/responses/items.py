"""The items of a conversation: read by their shapes, and written as the messages of a chat.

Invariant: every item is read by its shape, and one that cannot be read is refused by its place. Items of hosted
tools, which nothing here could have run, are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from foundrylocal.gateway.dialects.arguments import engine_arguments
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.chat_content import Parts, content_of, join_content
from foundrylocal.gateway.dialects.openai_chat.shapes import (
    CalledFunction,
    Content,
    ImagePart,
    ImageUrl,
    Message,
    TextPart,
    ToolCall,
)
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid
from foundrylocal.gateway.dialects.responses.compaction import open_summary
from foundrylocal.gateway.dialects.responses.shapes import (
    CallItem,
    CallOutputItem,
    CustomCallItem,
    CustomOutputItem,
    InputImage,
    Item,
    MessageItem,
    ReasoningItem,
    ReferenceItem,
    Refusal,
    ShellCallItem,
    ShellOutputItem,
)
from foundrylocal.gateway.limits.images import check_image

_HOSTED = frozenset(
    {
        *("web_search_call", "file_search_call", "computer_call", "computer_call_output"),
        *("code_interpreter_call", "image_generation_call", "mcp_list_tools", "mcp_call"),
        *("mcp_approval_request", "mcp_approval_response", "tool_search_call", "tool_search_output"),
        *("additional_tools", "compaction_trigger"),
    }
)


def messages_of(items: list[Json], instructions: str | None = None) -> list[Message]:
    """The conversation as messages. Raises InvalidRequest that names the place."""
    messages: list[Message] = []
    if instructions:
        messages.append(Message("system", instructions))
    for number, given in enumerate(items):
        if str(given.get("type")) not in _HOSTED:
            place = f"input[{number}]"
            item = _parse(given, place)
            if not (
                isinstance(item, ReasoningItem) and not _reasoning(item)
            ):  # nobody else can read what it holds
                _append(messages, _message(item, place))
    for message in messages:
        if not message.content and not message.tool_calls:
            message.content = ""  # templates want a text where there is nothing else
    if not any(message.role != "system" for message in messages):
        refuse("input", "must contain a user message")
    return messages


def _parse(given: Json, place: str) -> Item:
    """One item by its shape; a message may come without its type."""
    try:
        item: Item = msgspec.convert({"type": "message", **given}, Item)
    except msgspec.ValidationError as error:
        refuse_invalid(str(error), place)
    return item


def _message(item: Item, place: str) -> Message:
    if isinstance(item, MessageItem):
        role: Any = {"developer": "system"}.get(item.role, item.role)
        return Message(role, _content(item.content, f"{place}.content", item.role))
    if isinstance(item, CallItem | CustomCallItem | ShellCallItem):
        return _call(item, place)
    if isinstance(item, CallOutputItem | CustomOutputItem):
        return Message("tool", _content(item.output, f"{place}.output", "tool"), tool_call_id=item.call_id)
    if isinstance(item, ShellOutputItem):
        return Message("tool", item.output, tool_call_id=item.call_id or item.id or "")
    if isinstance(item, ReasoningItem):
        return Message("assistant", None, reasoning_content=_reasoning(item))
    if isinstance(item, ReferenceItem):
        refuse(place, "refers to an item that is not kept: send the item itself, or use previous_response_id")
    return Message("user", open_summary(item.encrypted_content, f"{place}.encrypted_content"))


def _reasoning(item: ReasoningItem) -> str:
    return "\n\n".join(part.text for part in item.content or item.summary or ())


def _call(item: CallItem | CustomCallItem | ShellCallItem, place: str) -> Message:
    if isinstance(item, CallItem):
        name, given = item.name, item.arguments
    elif isinstance(item, CustomCallItem):
        name, given = item.name, {"input": item.input}
    else:
        name, given = "local_shell", item.action
    arguments = engine_arguments(given, f"{place}.arguments")
    return Message("assistant", None, tool_calls=[ToolCall(CalledFunction(name, arguments), item.call_id)])


def _content(given: str | Iterable[object], place: str, role: str) -> Content:
    if isinstance(given, str):
        return given
    parts: Parts = []
    for number, part in enumerate(given):
        if isinstance(part, InputImage):
            if role == "assistant":
                refuse(f"{place}[{number}]", "is an image, which an assistant's message cannot contain")
            check_image(part.image_url, f"{place}[{number}].image_url")
            parts.append(ImagePart(ImageUrl(part.image_url)))
        else:
            parts.append(
                TextPart(part.refusal if isinstance(part, Refusal) else str(getattr(part, "text", "")))
            )
    return content_of(parts, role)


# --- one message for what the model said in one turn -----------------------------------------------------


def _append(messages: list[Message], message: Message) -> None:
    """Add a message: an assistant's reasoning, text and calls are one, as templates have it.

    Messages of the user in a row are one, too, and system messages at the head. Later system messages become the
    user's: few templates know any other order.
    """
    last = messages[-1] if messages else None
    if message.role == "system" and last is not None and last.role != "system":
        message.role = "user"
    if last is None or last.role != message.role or not _joins(last, message):
        messages.append(message)
        return
    last.content = join_content(last.content, message.content) or None
    last.reasoning_content = last.reasoning_content or message.reasoning_content
    last.tool_calls = [*(last.tool_calls or ()), *(message.tool_calls or ())] or None


def _joins(last: Message, message: Message) -> bool:
    if message.role != "assistant":
        return message.role != "tool"
    # Text after a call begins a turn of its own, so does a thought after a text.
    return not (last.tool_calls and (message.content or message.reasoning_content)) and not (
        last.content and message.reasoning_content
    )
