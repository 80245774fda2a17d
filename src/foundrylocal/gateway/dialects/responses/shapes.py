"""What /v1/responses takes, and what of it goes on to the engine: these fields and no others."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from foundrylocal.gateway.dialects.shapes import (
    Body,
    Count,
    Json,
    JsonFormat,
    Name,
    Part,
    Schema,
    SchemaFormat,
    Seed,
    Share,
    Temperature,
)


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
    output: str | list[InputText]


class ReasoningItem(Part, tag_field="type", tag="reasoning"):
    """What the model thought before; it is not read again."""


class ReferenceItem(Part, tag_field="type", tag="item_reference"):
    id: str


Item = MessageItem | CallItem | CallOutputItem | ReasoningItem | ReferenceItem


class Offer(Part, tag_field="type", tag="function"):
    """A function that the model may call."""

    name: Name
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class NamedOffer(Part, tag_field="type", tag="function"):
    name: Name


class ResponseText(Part):
    format: Json | None = None
    verbosity: str | None = None


class ResponsesBody(Body, kw_only=True):
    own: ClassVar[tuple[str, ...]] = (
        *("model", "user", "text", "previous_response_id", "conversation", "background", "metadata"),
        *("store", "include", "truncation"),
    )
    input: Annotated[str, Meta(min_length=1)] | Annotated[list[Json], Meta(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    seed: Seed | None = None
    tools: Annotated[list[Offer], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedOffer | None = None
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
