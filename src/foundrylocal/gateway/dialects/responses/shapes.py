"""What /v1/responses takes, and what of it goes on to the engine: these fields and no others."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from foundrylocal.gateway.dialects.body import Body, Count, Json, Name, Part, Schema, Seed, Share, Temperature
from foundrylocal.gateway.dialects.openai_chat.shapes import JsonFormat, SchemaFormat
from foundrylocal.gateway.dialects.prefill import NO_PREFILL, Prefill


class InputText(Part, tag_field="type", tag="input_text"):
    text: str


class InputImage(Part, tag_field="type", tag="input_image"):
    image_url: str
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Part, tag_field="type", tag="output_text"):
    text: str


class Refusal(Part, tag_field="type", tag="refusal"):
    refusal: str


class MessageItem(Part, tag_field="type", tag="message"):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | InputImage | OutputText | Refusal]


class CallItem(Part, tag_field="type", tag="function_call"):
    call_id: str
    name: Name
    arguments: str


class CallOutputItem(Part, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str | list[InputText | InputImage]


class ReasoningItem(Part, tag_field="type", tag="reasoning"):
    """What the model thought before; it does not read that again."""


class ReferenceItem(Part, tag_field="type", tag="item_reference"):
    id: str


Item = MessageItem | CallItem | CallOutputItem | ReasoningItem | ReferenceItem


class FunctionTool(Part, tag_field="type", tag="function"):
    """A function that the model may call."""

    name: Name
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class ChosenFunction(Part, tag_field="type", tag="function"):
    name: Name


class OnlyAllowed(Part, tag_field="type", tag="allowed_tools"):
    mode: Literal["auto", "required"]
    tools: Annotated[list[ChosenFunction], Meta(min_length=1, max_length=128)]


class ResponseText(Part):
    format: Json | None = None
    verbosity: str | None = None


class ResponsesBody(Body, kw_only=True):
    gateway_fields: ClassVar[tuple[str, ...]] = (
        *("model", "user", "text", "previous_response_id", "conversation", "background", "metadata"),
        *("store", "include", "truncation"),
    )
    content_field: ClassVar[str] = "input"
    function_types: ClassVar[tuple[str | None, ...]] = ("function",)

    input: Annotated[str, Meta(min_length=1)] | Annotated[list[Json], Meta(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    seed: Seed | None = None
    tools: Annotated[list[FunctionTool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenFunction | OnlyAllowed | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Json | None = None
    text: ResponseText | None = None
    response_format: SchemaFormat | JsonFormat | None = None
    metadata: Json | None = None
    previous_response_id: str | None = None
    conversation: str | Json | None = None
    background: bool | None = None
    store: bool | None = None
    include: list[str] | None = None
    truncation: str | None = None

    @property
    def wants_tools(self) -> bool:
        return bool(self.tools) and self.tool_choice != "none"

    @property
    def has_images(self) -> bool:
        return isinstance(self.input, list) and any(_has_image(item) for item in self.input)

    @property
    def prefill(self) -> Prefill:
        last = self.input[-1] if isinstance(self.input, list) else {}
        if last.get("role") != "assistant" or not isinstance(last.get("content"), list):
            return NO_PREFILL
        return Prefill("".join(part["text"] for part in last["content"]))

    @property
    def constraint_field(self) -> str | None:
        if self.response_format is not None:
            return "text.format"
        return "tools" if self.tools is not None else None


def _has_image(item: Json) -> bool:
    parts = item.get("content") or item.get("output")
    return isinstance(parts, list) and any(part.get("type") == "input_image" for part in parts)
