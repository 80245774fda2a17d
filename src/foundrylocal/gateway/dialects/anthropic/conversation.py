"""Anthropic's turns as the messages of a chat.

Invariant: every block is read by its shape, and one that cannot be read is refused by its place. Blocks that only
Anthropic's own servers can read (its hosted tools, redacted thoughts) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from foundrylocal.gateway.dialects.anthropic.documents import read_document, read_search_result
from foundrylocal.gateway.dialects.anthropic.shapes import (
    Block,
    CountBody,
    DocumentBlock,
    ImageBlock,
    SearchResultBlock,
    TextBlock,
    ThinkingBlock,
    ToolReferenceBlock,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
)
from foundrylocal.gateway.dialects.arguments import engine_arguments
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.chat_content import Parts, content_of, join_content
from foundrylocal.gateway.dialects.openai_chat.shapes import (
    CalledFunction,
    ImagePart,
    ImageUrl,
    Message,
    TextPart,
    ToolCall,
)
from foundrylocal.gateway.dialects.refusals import refuse, refuse_invalid

# Claude Code's first line of a system prompt changes from request to request and would defeat the prompt cache.
_BILLING_LINE = "x-anthropic-billing-header:"
_HOSTED = ("redacted_thinking", "server_tool_use", "mcp_tool_use", "mcp_tool_result", "container_upload")


def messages_of(body: CountBody) -> list[Message]:
    """The conversation with its system prompt. Raises InvalidRequest that names the place."""
    messages: list[Message] = []
    if system := _system_of(body):
        messages.append(Message("system", system))
    for number, turn in enumerate(body.messages):
        for message in _turn(turn, f"messages[{number}].content"):
            _append(messages, message)
    return messages


def _system_of(body: CountBody) -> str:
    blocks = [TextBlock(body.system)] if isinstance(body.system, str) else body.system or []
    return "\n\n".join(text for block in blocks if (text := _without_billing_line(block.text)))


def _without_billing_line(text: str) -> str:
    return text.partition("\n")[2].lstrip("\n") if text.startswith(_BILLING_LINE) else text


def _append(messages: list[Message], message: Message) -> None:
    """Add a message; turns of one role in a row are one, as Anthropic's API has it and most templates require."""
    last = messages[-1] if messages else None
    if last is None or last.role != message.role or message.role not in ("user", "assistant"):
        messages.append(message)
        return
    last.content = join_content(last.content, message.content)
    last.tool_calls = [*(last.tool_calls or ()), *(message.tool_calls or ())] or None
    last.reasoning_content = (
        "\n\n".join(filter(None, (last.reasoning_content, message.reasoning_content))) or None
    )


def _turn(turn: Turn, place: str) -> Iterator[Message]:
    """The messages of one turn: the results of tools come first, each as a message of its own."""
    # Few templates know a system message that is not the first one.
    role = "user" if turn.role == "system" else turn.role
    if isinstance(turn.content, str):
        yield Message(role, turn.content)
        return
    blocks = [(block, where) for block, where in _blocks(turn.content, place) if block is not None]
    if not blocks and turn.role != "assistant":
        refuse(place, "must not be empty")
    rest: list[tuple[Block, str]] = []
    for block, where in blocks:
        if isinstance(block, ToolResultBlock):
            yield _result(block, where)
        else:
            rest.append((block, where))
    if rest or turn.role == "assistant":
        yield _message(role, rest)


def _message(role: str, blocks: list[tuple[Block, str]]) -> Message:
    calls: list[ToolCall] = []
    reasoning: list[str] = []
    parts: Parts = []
    for block, place in blocks:
        if isinstance(block, ToolUseBlock):
            arguments = engine_arguments(block.input, f"{place}.input")
            calls.append(ToolCall(CalledFunction(block.name, arguments), block.id))
        elif isinstance(block, ThinkingBlock):
            reasoning.append(block.thinking)
        else:
            parts += _parts(block, place, role)
    message = Message("assistant" if role == "assistant" else "user", content_of(parts, role))
    message.tool_calls = calls or None
    message.reasoning_content = "".join(reasoning) or None
    return message


def _result(block: ToolResultBlock, place: str) -> Message:
    if isinstance(block.content, list):
        blocks = _blocks(block.content, f"{place}.content")
        parts: Parts = [
            part for one, where in blocks if one is not None for part in _parts(one, where, "tool")
        ]
        return Message("tool", content_of(parts), tool_call_id=block.tool_use_id)
    return Message("tool", block.content or "", tool_call_id=block.tool_use_id)


def _parts(block: Block, place: str, role: str) -> Parts:
    """What a block of text, an image or a document is in a chat."""
    if isinstance(block, DocumentBlock):
        return [_part(one, place, role) for one in read_document(block, place)]
    if isinstance(block, SearchResultBlock):
        return [_part(one, place, role) for one in read_search_result(block)]
    return [_part(block, place, role)]


def _part(block: Block, place: str, role: str) -> TextPart | ImagePart:
    if isinstance(block, TextBlock):
        return TextPart(block.text)
    if isinstance(block, ToolReferenceBlock):
        return TextPart(f"Tool: {block.tool_name}")
    if not isinstance(block, ImageBlock) or role == "assistant":
        refuse(place, f"is a block that a message with the role '{role}' cannot contain")
    return ImagePart(ImageUrl(f"data:{block.source.media_type};base64,{block.source.data}"))


def _blocks(given: list[Json], place: str) -> Iterator[tuple[Block | None, str]]:
    """The blocks by their shapes, with their places; None for one that is left out."""
    for number, block in enumerate(given):
        where = f"{place}[{number}]"
        kind = str(block.get("type"))
        if kind in _HOSTED or (kind.endswith("_tool_result") and kind != "tool_result"):
            yield None, where
            continue
        try:
            yield msgspec.convert(block, Block), where
        except msgspec.ValidationError as error:
            refuse_invalid(str(error), where)
