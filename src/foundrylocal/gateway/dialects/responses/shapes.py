"""What the Responses endpoints take. Items of a conversation are read one by one in `items.py`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from foundrylocal.gateway.dialects.body import (
    Body,
    Count,
    Json,
    Name,
    Part,
    Penalty,
    Schema,
    Seed,
    Share,
    Temperature,
)

# --- parts of a message ---------------------------------------------------------------------------------


class InputText(Part, tag_field="type", tag="input_text"):
    text: str


class InputImage(Part, tag_field="type", tag="input_image"):
    image_url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class OutputText(Part, tag_field="type", tag="output_text"):
    text: str


class Refusal(Part, tag_field="type", tag="refusal"):
    refusal: str


class SummaryText(Part, tag_field="type", tag="summary_text"):
    text: str


class ReasoningText(Part, tag_field="type", tag="reasoning_text"):
    text: str


# --- items ----------------------------------------------------------------------------------------------


class MessageItem(Part, tag_field="type", tag="message"):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[InputText | InputImage | OutputText | Refusal]
    phase: Literal["commentary", "final_answer"] | None = None


class CallItem(Part, tag_field="type", tag="function_call"):
    call_id: str
    name: Name
    arguments: Any = None  # text; agents send the object itself, or nothing, as well


class CallOutputItem(Part, tag_field="type", tag="function_call_output"):
    call_id: str
    output: str | list[InputText | InputImage | OutputText]


class CustomCallItem(Part, tag_field="type", tag="custom_tool_call"):
    call_id: str
    name: Name
    input: str


class CustomOutputItem(Part, tag_field="type", tag="custom_tool_call_output"):
    call_id: str
    output: str | list[InputText | InputImage | OutputText]


class ShellCallItem(Part, tag_field="type", tag="local_shell_call"):
    call_id: str
    action: Json


class ShellOutputItem(Part, tag_field="type", tag="local_shell_call_output"):
    output: str
    call_id: str | None = None
    id: str | None = None


class ReasoningItem(Part, tag_field="type", tag="reasoning"):
    summary: list[SummaryText] | None = None
    content: list[ReasoningText] | None = None


class CompactionItem(Part, tag_field="type", tag="compaction"):
    encrypted_content: str


class ReferenceItem(Part, tag_field="type", tag="item_reference"):
    id: str


Item = (
    MessageItem
    | CallItem
    | CallOutputItem
    | CustomCallItem
    | CustomOutputItem
    | ShellCallItem
    | ShellOutputItem
    | ReasoningItem
    | CompactionItem
    | ReferenceItem
)

# --- bodies ---------------------------------------------------------------------------------------------


class FunctionTool(Part, tag_field="type", tag="function"):
    """A function that the model may call."""

    name: Name
    description: str | None = None
    parameters: Schema | None = None
    strict: bool | None = None


class ChosenFunction(Part, tag_field="type", tag="function"):
    name: Name


class AllowedTools(Part, tag_field="type", tag="allowed_tools"):
    mode: Literal["auto", "required"]
    tools: Annotated[list[ChosenFunction], Meta(min_length=1, max_length=128)]


class ResponseText(Part):
    format: Json | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Part):
    effort: str | None = None
    summary: str | None = None


Input = Annotated[str, Meta(min_length=1)] | list[Json]


class ConversationBody(Body, kw_only=True):
    """What names a conversation: the items, and the response that they follow."""

    content_field: ClassVar[str] = "input"

    input: Input | None = None
    previous_response_id: str | None = None
    instructions: str | None = None
    prompt_cache_key: str | None = None

    @property
    def has_images(self) -> bool:
        return isinstance(self.input, list) and any(_has_image(item) for item in self.input)


class CompactBody(ConversationBody, kw_only=True):
    """POST /v1/responses/compact."""


class ResponsesBody(ConversationBody, kw_only=True):
    function_types: ClassVar[tuple[str | None, ...]] = ("function",)

    max_output_tokens: Count | None = None
    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    seed: Seed | None = None
    tools: Annotated[list[FunctionTool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | Json | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Count | None = None
    reasoning: Reasoning | None = None
    text: ResponseText | None = None
    metadata: Json | None = None
    safety_identifier: str | None = None
    conversation: Any = None
    background: bool | None = None
    store: bool | None = None
    include: list[str] | None = None

    @property
    def wanted_tokens(self) -> int | None:
        return self.max_output_tokens

    @property
    def wants_tools(self) -> bool:
        return bool(self.tools) and self.tool_choice != "none"

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.top_logprobs) or "message.output_text.logprobs" in (self.include or ())

    @property
    def constraint_field(self) -> str | None:
        if self.text is not None and self.text.format is not None:
            return "text.format"
        return "tools" if self.tools is not None else None


def _has_image(item: Json) -> bool:
    parts = item.get("content") or item.get("output")
    return isinstance(parts, list) and any(
        isinstance(part, dict) and part.get("type") == "input_image" for part in parts
    )
