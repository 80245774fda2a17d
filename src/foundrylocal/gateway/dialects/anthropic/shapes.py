"""What the Anthropic endpoints take. Blocks of content are read one by one in `conversation.py`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from foundrylocal.gateway.dialects.body import Body, Count, CountOrZero, Json, Name, Part, Share, Stop

# --- blocks of content ----------------------------------------------------------------------------------


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


class SearchResultBlock(Part, tag_field="type", tag="search_result"):
    source: str
    title: str
    content: list[TextBlock]


class ToolUseBlock(Part, tag_field="type", tag="tool_use"):
    id: str
    name: Name
    input: Any = None  # an object; agents send back what was cut short as well


class ToolResultBlock(Part, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | list[Json] | None = None
    is_error: bool | None = None


class ThinkingBlock(Part, tag_field="type", tag="thinking"):
    thinking: str


class ToolReferenceBlock(Part, tag_field="type", tag="tool_reference"):
    """A tool that a search for tools has found."""

    tool_name: Name


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ToolUseBlock
    | ToolResultBlock
    | ThinkingBlock
    | ToolReferenceBlock
)

# --- bodies ---------------------------------------------------------------------------------------------


class Turn(Part):
    role: Literal["user", "assistant", "system"]
    content: str | list[Json]


class Tool(Part):
    """A tool of the client's own."""

    name: Name
    input_schema: Json
    description: str | None = None
    strict: bool | None = None


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
    function_types: ClassVar[tuple[str | None, ...]] = ("custom",)

    messages: Annotated[list[Turn], Meta(min_length=1)]
    system: str | list[TextBlock] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    metadata: Metadata | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    thread: Any = None

    @property
    def end_user(self) -> str:
        return (self.metadata.user_id if self.metadata else None) or self.user or ""

    @property
    def wants_tools(self) -> bool:
        return bool(self.tools) and (self.tool_choice is None or self.tool_choice.type != "none")

    @property
    def has_images(self) -> bool:
        return any(_has_image(turn.content) for turn in self.messages)

    @property
    def constraint_field(self) -> str | None:
        if (self.output_config or {}).get("format") is not None:
            return "output_config.format"
        if self.output_format is not None:
            return "output_format"
        return "tools" if self.tools else None


class MessagesBody(CountBody, kw_only=True):
    max_tokens: Count
    stream: bool | None = None
    stop_sequences: Annotated[list[Stop], Meta(max_length=16)] | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    top_k: CountOrZero | None = None


def _has_image(content: object) -> bool:
    """Whether blocks hold an image, the results of tools included."""
    return isinstance(content, list) and any(
        isinstance(block, dict)
        and (
            block.get("type") == "image" or _has_image(block.get("content")) or _is_seen(block.get("source"))
        )
        for block in content
    )


def _is_seen(source: object) -> bool:
    """Whether the source of a document holds images."""
    return isinstance(source, dict) and _has_image(source.get("content"))
