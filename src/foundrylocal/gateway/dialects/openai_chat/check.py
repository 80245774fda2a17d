"""What the types of a chat request do not say, and the older spellings that it may have."""

from __future__ import annotations

from foundrylocal.gateway.dialects.arguments import engine_arguments
from foundrylocal.gateway.dialects.openai_chat.shapes import (
    CalledFunction,
    ChatBody,
    ChosenTool,
    ImagePart,
    Message,
    OnlyAllowed,
    RefusalPart,
    SchemaFormat,
    TextPart,
    ToolCall,
)
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.dialects.sampling import check_sampling, check_stream_options
from foundrylocal.gateway.limits.images import check_image

_NOT_SUPPORTED = {
    "functions": "is no longer supported: use 'tools'",
    "function_call": "is no longer supported: use 'tool_choice'",
    "audio": "is not supported: answers are text",
    "prediction": "is not supported",
    "web_search_options": "is not supported: this service does not search the web",
}


def check_chat(body: ChatBody) -> None:
    """Check a chat request. Raises InvalidRequest that names the field."""
    check_sampling(body)
    for name, reason in _NOT_SUPPORTED.items():
        if getattr(body, name) is not None:
            refuse(name, reason)
    if "audio" in (body.modalities or ()):
        refuse("modalities", "must not contain 'audio': answers are text")
    if body.top_logprobs is not None and not body.logprobs:
        refuse("top_logprobs", "needs 'logprobs' to be true")
    check_stream_options(body)
    if isinstance(body.response_format, SchemaFormat) and body.response_format.json_schema.schema is None:
        refuse("response_format.json_schema.schema", "is required")
    _check_choice(body)
    check_messages(body.messages)
    join_prefill(body.messages)


def _check_choice(body: ChatBody) -> None:
    names = {tool.function.name for tool in body.tools or ()}
    if isinstance(body.tool_choice, ChosenTool):
        if body.tool_choice.function.name not in names:
            refuse("tool_choice", "names a function that is not in 'tools'")
    elif isinstance(body.tool_choice, OnlyAllowed):
        for tool in body.tool_choice.allowed_tools.tools:
            if tool.function.name not in names:
                refuse("tool_choice.allowed_tools.tools", "names a function that is not in 'tools'")
    elif body.tool_choice == "required" and not body.tools:
        refuse("tool_choice", "is 'required', but there are no 'tools'")


def check_messages(messages: list[Message]) -> None:
    """Check a conversation. Raises InvalidRequest."""
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if message.role == "developer":
            message.role = "system"  # the newer name of the same thing, which few templates know
        _write_refusals(message)
        _check_content(message, place)
        for index, call in enumerate(message.tool_calls or ()):
            _check_call(call, f"{place}.tool_calls[{index}]")
        if message.role == "tool" and not message.tool_call_id:
            refuse(f"{place}.tool_call_id", "is required in a message with the role 'tool'")
        for index, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if isinstance(part, ImagePart):
                check_image(part.image_url.url, f"{place}.content[{index}].image_url.url")


def _check_content(message: Message, place: str) -> None:
    """A tool may have returned nothing, and a model may have said nothing; everybody else says something."""
    if isinstance(message.content, str | list) and (message.content or message.role != "tool"):
        return
    if message.role not in ("assistant", "tool"):
        refuse(f"{place}.content", "is required")
    message.content = None if message.tool_calls else ""


def _check_call(call: ToolCall, place: str) -> None:
    """Make a call of an earlier turn one that templates can show: a function with an object as its arguments."""
    if call.custom is not None:
        arguments = {"input": call.custom.input}
        call.function, call.custom, call.type = CalledFunction(call.custom.name, arguments), None, "function"
    if call.function is None:
        refuse(f"{place}.function", "is required")
    call.function.arguments = engine_arguments(call.function.arguments, f"{place}.function.arguments")


def join_prefill(messages: list[Message]) -> None:
    """Write the text of a last message that the model is to continue as one string; an empty one begins nothing."""
    last = messages[-1]
    if last.role != "assistant" or last.tool_calls:
        return
    if isinstance(last.content, list) and all(isinstance(part, TextPart) for part in last.content):
        last.content = "".join(part.text for part in last.content if isinstance(part, TextPart))
    if not last.content and not last.reasoning_content and len(messages) > 1:
        messages.pop()


def _write_refusals(message: Message) -> None:
    """Turn a refusal of the model into its words: templates have no other place for it."""
    if isinstance(message.content, list):
        message.content = [
            TextPart(part.refusal) if isinstance(part, RefusalPart) else part for part in message.content
        ]
    elif message.refusal and not message.content:
        message.content = message.refusal
    message.refusal = None
