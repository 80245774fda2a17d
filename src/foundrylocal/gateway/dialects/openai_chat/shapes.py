"""What /v1/chat/completions takes, and what of it goes on to the engine: these fields and no others."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from foundrylocal.gateway.dialects.body import Count, Json, Name, Part, Schema
from foundrylocal.gateway.dialects.prefill import NO_PREFILL, Prefill
from foundrylocal.gateway.dialects.sampling import Completions


class TextPart(Part, tag_field="type", tag="text"):
    text: str


class ImageUrl(Part):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Part, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class Audio(Part):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Part, tag_field="type", tag="input_audio"):
    input_audio: Audio


class RefusalPart(Part, tag_field="type", tag="refusal"):
    refusal: str


Content = str | list[TextPart | ImagePart | AudioPart | RefusalPart]


class CalledFunction(Part):
    name: Name
    arguments: Any = None
    """Text once the conversation is checked: agents send the object itself, or nothing, as well."""


class CalledCustom(Part):
    name: Name
    input: str = ""


class ToolCall(Part):
    function: CalledFunction | None = None
    id: str | None = None
    # A factory, since a plain default would be left out, and the engine wants it.
    type: Literal["function", "custom"] = msgspec.field(default_factory=lambda: "function")
    index: int | None = None
    custom: CalledCustom | None = None
    """A call of a tool that takes text; a function takes its place once the conversation is checked."""


class Message(Part):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content | UnsetType | None = UNSET
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None


class Function(Part):
    name: Name
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class Tool(Part):
    type: Literal["function"]
    function: Function


class ChosenFunction(Part):
    name: Name


class ChosenTool(Part, tag_field="type", tag="function"):
    function: ChosenFunction


class AllowedTools(Part):
    mode: Literal["auto", "required"]
    tools: Annotated[list[ChosenTool], Meta(min_length=1, max_length=128)]


class OnlyAllowed(Part, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


class NamedSchema(Part):
    schema: Schema | None = None
    name: str | None = None
    strict: bool | None = None
    description: str | None = None


class TextFormat(Part, tag_field="type", tag="text"):
    pass


class JsonFormat(Part, tag_field="type", tag="json_object"):
    schema: Schema | None = None


class SchemaFormat(Part, tag_field="type", tag="json_schema"):
    json_schema: NamedSchema


class ChatBody(Completions, kw_only=True):
    gateway_fields: ClassVar[tuple[str, ...]] = (
        *("model", "user", "functions", "function_call", "modalities", "audio", "prediction"),
        "web_search_options",
    )
    function_types: ClassVar[tuple[str | None, ...]] = ("function",)

    messages: Annotated[list[Message], Meta(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | OnlyAllowed | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    reasoning_effort: str | None = None
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None = None
    chat_template_kwargs: Json | None = None
    # Declared only to be refused by name: without them the answer would not be what the client wants.
    functions: Any = None
    function_call: Any = None
    modalities: list[str] | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None

    @property
    def wanted_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_tools(self) -> bool:
        return bool(self.tools) and self.tool_choice != "none"

    @property
    def has_images(self) -> bool:
        return has_images(self.messages)

    @property
    def prefill(self) -> Prefill:
        last = self.messages[-1]
        if last.role != "assistant" or last.tool_calls or not isinstance(last.content, str):
            return NO_PREFILL
        return Prefill(last.content, last.reasoning_content or "")

    @property
    def constraint_field(self) -> str | None:
        field = super().constraint_field
        if field is None and self.response_format is not None:
            return "response_format"
        return field or ("tools" if self.tools is not None else None)


def has_images(messages: list[Message]) -> bool:
    """Whether any of the messages holds an image, a tool's result included."""
    return any(
        isinstance(part, ImagePart)
        for message in messages
        if isinstance(message.content, list)
        for part in message.content
    )
