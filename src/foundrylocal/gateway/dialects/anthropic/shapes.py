"""What the Anthropic endpoints take, and what of it goes on to the engine: these fields and no others."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from foundrylocal.gateway.dialects.body import Body, Count, CountOrZero, Json, Name, Part, Share, Stop
from foundrylocal.gateway.dialects.prefill import NO_PREFILL, Prefill


class TextBlock(Part, tag_field="type", tag="text"):
    text: str


class Base64Image(Part, tag_field="type", tag="base64"):
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: Annotated[str, Meta(min_length=1)]


class ImageBlock(Part, tag_field="type", tag="image"):
    source: Base64Image


class DocumentBlock(Part, tag_field="type", tag="document"):
    """A document; only text can be read here."""

    source: Json
    title: str | None = None
    context: str | None = None


class ToolUseBlock(Part, tag_field="type", tag="tool_use"):
    id: str
    name: Name
    input: Json


class ToolResultBlock(Part, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: bool | None = None


class ThinkingBlock(Part, tag_field="type", tag="thinking"):
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(Part, tag_field="type", tag="redacted_thinking"):
    """Thoughts that only the model that had them can read."""


Block = (
    RedactedThinkingBlock
    | TextBlock
    | ImageBlock
    | DocumentBlock
    | ToolUseBlock
    | ToolResultBlock
    | ThinkingBlock
)


class Turn(Part):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(Part):
    name: Name
    input_schema: Json
    description: str | None = None
    type: str | None = None


class ToolChoice(Part):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Part):
    type: str
    budget_tokens: CountOrZero | None = None


class Metadata(Part):
    user_id: str | None = None


class CountBody(Body, kw_only=True):
    gateway_fields: ClassVar[tuple[str, ...]] = ("model", "user", "metadata")
    function_types: ClassVar[tuple[str | None, ...]] = ("custom",)

    messages: Annotated[list[Turn], Meta(min_length=1)]
    system: str | list[TextBlock] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    metadata: Metadata | None = None

    @property
    def end_user(self) -> str:
        return (self.metadata.user_id if self.metadata else None) or self.user or ""

    @property
    def wants_tools(self) -> bool:
        return bool(self.tools) and (self.tool_choice is None or self.tool_choice.type != "none")

    @property
    def has_images(self) -> bool:
        return any(
            _has_image(block)
            for turn in self.messages
            if isinstance(turn.content, list)
            for block in turn.content
        )

    @property
    def prefill(self) -> Prefill:
        last = self.messages[-1]
        if last.role != "assistant":
            return NO_PREFILL
        if isinstance(last.content, str):
            return Prefill(last.content)
        if not all(isinstance(block, TextBlock | ThinkingBlock) for block in last.content):
            return NO_PREFILL
        texts = (block.text for block in last.content if isinstance(block, TextBlock))
        thoughts = (block.thinking for block in last.content if isinstance(block, ThinkingBlock))
        return Prefill("".join(texts), "".join(thoughts))

    @property
    def constraint_field(self) -> str | None:
        return "tools" if self.tools is not None else None


class MessagesBody(CountBody, kw_only=True):
    gateway_fields: ClassVar[tuple[str, ...]] = (
        "model",
        "user",
        "metadata",
        "output_config",
        "output_format",
    )
    max_tokens: Count
    stream: bool | None = None
    stop_sequences: Annotated[list[Stop], Meta(max_length=16)] | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: CountOrZero | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None

    @property
    def has_format(self) -> bool:
        """Whether the answer must follow a schema."""
        return (self.output_config or {}).get("format") is not None or self.output_format is not None

    @property
    def constraint_field(self) -> str | None:
        if (self.output_config or {}).get("format") is not None:
            return "output_config.format"
        return "output_format" if self.output_format is not None else super().constraint_field


def _has_image(block: Block) -> bool:
    if isinstance(block, ToolResultBlock) and isinstance(block.content, list):
        return any(isinstance(part, ImageBlock) for part in block.content)
    return isinstance(block, ImageBlock)
