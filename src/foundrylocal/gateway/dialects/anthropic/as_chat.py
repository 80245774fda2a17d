"""A message request as one for the engine's chat, whose answers can be held to a grammar."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from foundrylocal.gateway.dialects.anthropic.shapes import (
    Block,
    ImageBlock,
    MessagesBody,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
)
from foundrylocal.gateway.dialects.assembly import AS_STREAM
from foundrylocal.gateway.dialects.body import Json

_SAMPLING = ("temperature", "top_p", "top_k")


def chat_fields(body: MessagesBody) -> Json:
    """The fields of the chat request."""
    system = body.system if isinstance(body.system, str) else "".join(one.text for one in body.system or ())
    messages: list[Json] = [{"role": "system", "content": system}] if system else []
    for turn in body.messages:
        messages += _messages(turn)
    fields: Json = {"messages": messages, "max_tokens": body.max_tokens}
    fields |= {name: value for name in _SAMPLING if (value := getattr(body, name)) is not None}
    if body.stop_sequences:
        fields["stop"] = body.stop_sequences
    if body.stream:
        fields |= AS_STREAM
    return fields


def _messages(turn: Turn) -> Iterator[Json]:
    """One turn: results of tools are messages of their own, before what else it says."""
    if isinstance(turn.content, str):
        yield {"role": turn.role, "content": turn.content}
        return
    for block in turn.content:
        if isinstance(block, ToolResultBlock):
            content = block.content if isinstance(block.content, str) else _parts(block.content or [])
            yield {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}
    message: Json = {"role": turn.role, "content": _parts(turn.content) or None}
    thoughts = "".join(block.thinking for block in turn.content if isinstance(block, ThinkingBlock))
    if thoughts:
        message["reasoning_content"] = thoughts
    calls = [_call(block) for block in turn.content if isinstance(block, ToolUseBlock)]
    if calls:
        message["tool_calls"] = calls
    if message["content"] is not None or calls:
        yield message


def _parts(blocks: Sequence[Block]) -> str | list[Json]:
    """Text as text, since few templates know parts; a list only where there is an image."""
    if not any(isinstance(block, ImageBlock) for block in blocks):
        return "".join(block.text for block in blocks if isinstance(block, TextBlock))
    parts: list[Json] = []
    for block in blocks:
        if isinstance(block, TextBlock):
            parts.append({"type": "text", "text": block.text})
        elif isinstance(block, ImageBlock):
            url = f"data:{block.source.media_type};base64,{block.source.data}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
    return parts


def _call(block: ToolUseBlock) -> Json:
    function = {"name": block.name, "arguments": json.dumps(block.input, ensure_ascii=False)}
    return {"id": block.id, "type": "function", "function": function}
