"""Ollama's messages as the messages of a chat.

Invariant: each result of a tool belongs to one call of the conversation. Ollama's clients name neither calls nor
results reliably, so calls get ids that we assign, and a result without one answers the oldest call that fits.
"""

from __future__ import annotations

import msgspec

from foundrylocal.gateway.dialects.arguments import engine_arguments
from foundrylocal.gateway.dialects.body import Json
from foundrylocal.gateway.dialects.chat_content import Parts, content_of, join_content
from foundrylocal.gateway.dialects.ollama.images import image_part
from foundrylocal.gateway.dialects.ollama.shapes import Message
from foundrylocal.gateway.dialects.openai_chat import shapes as chat_shapes
from foundrylocal.gateway.dialects.openai_chat.shapes import TextPart


def messages_of(given: list[Message]) -> list[chat_shapes.Message]:
    """The conversation. Raises InvalidRequest that names the place."""
    return _Conversation().read(given)


class _Conversation:
    def __init__(self) -> None:
        self._messages: list[chat_shapes.Message] = []
        self._unanswered: list[tuple[str, str]] = []  # id and name of each call
        self._call_count = 0

    def read(self, given: list[Message]) -> list[chat_shapes.Message]:
        for number, message in enumerate(given):
            self._append(self._translate(message, f"messages[{number}]"))
        return self._messages

    def _translate(self, message: Message, place: str) -> chat_shapes.Message:
        if message.role == "tool":
            call_id = self._take_call(message)
            return chat_shapes.Message("tool", message.content or "", tool_call_id=call_id)
        role = message.role
        if role == "system" and any(one.role != "system" for one in self._messages):
            role = "user"  # few templates know a system message that is not the first one
        parts: Parts = [TextPart(message.content)] if message.content else []
        parts += [
            image_part(data, f"{place}.images[{number}]") for number, data in enumerate(message.images or ())
        ]
        found = chat_shapes.Message(role, content_of(parts, role))
        if role == "assistant":
            found.reasoning_content = message.thinking or None
            found.tool_calls = self._calls(message, place)
            if found.tool_calls and not message.content:
                found.content = None
        return found

    def _calls(self, message: Message, place: str) -> list[chat_shapes.ToolCall] | None:
        calls: list[chat_shapes.ToolCall] = []
        for number, call in enumerate(message.tool_calls or ()):
            call_id = call.id or f"call_{self._call_count}"
            self._call_count += 1
            text = _text(call.function.arguments)
            arguments = engine_arguments(text, f"{place}.tool_calls[{number}].function.arguments")
            calls.append(
                chat_shapes.ToolCall(chat_shapes.CalledFunction(call.function.name, arguments), call_id)
            )
            self._unanswered.append((call_id, call.function.name))
        return calls or None

    def _take_call(self, result: Message) -> str:
        """The id of the call that a result answers; one of its own when there is none."""
        name = result.tool_name or result.name
        fitting = [
            call for call in self._unanswered if result.tool_call_id == call[0] or (name and name == call[1])
        ]
        if found := next(iter(fitting or self._unanswered), None):
            self._unanswered.remove(found)
            return found[0]
        return result.tool_call_id or name or "call"

    def _append(self, message: chat_shapes.Message) -> None:
        """Add a message; consecutive ones of one role are one, as most templates require."""
        last = self._messages[-1] if self._messages else None
        if last is None or last.role != message.role or message.role == "tool":
            self._messages.append(message)
            return
        last.content = join_content(last.content, message.content)
        last.tool_calls = [*(last.tool_calls or ()), *(message.tool_calls or ())] or None
        thoughts = filter(None, (last.reasoning_content, message.reasoning_content))
        last.reasoning_content = "\n\n".join(thoughts) or None


def _text(arguments: Json | str | None) -> str:
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode(arguments or {}).decode()
