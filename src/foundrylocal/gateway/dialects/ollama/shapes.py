"""What Ollama's inference endpoints take. Unknown fields and options are ignored, as Ollama does."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from foundrylocal.gateway.dialects.body import Body, Count, Json, Name, Part
from foundrylocal.gateway.dialects.ollama.keep_alive import KeepAlive, keep_alive_s

# --- options --------------------------------------------------------------------------------------------

_Tokens = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_Factor = Annotated[float, Meta(ge=-1000, le=1000)]
_Stop = Annotated[str, Meta(max_length=1024)]


class Options(Part):
    """The options that have an effect here; the others belong to Ollama's own runner."""

    num_ctx: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    num_predict: _Tokens | None = None
    seed: int | None = None
    temperature: Annotated[float, Meta(ge=0, le=100)] | None = None
    top_k: _Tokens | None = None
    top_p: _Factor | None = None
    min_p: _Factor | None = None
    typical_p: _Factor | None = None
    repeat_penalty: Annotated[float, Meta(ge=0, le=100)] | None = None
    repeat_last_n: Annotated[int, Meta(ge=-1, le=65536)] | None = None
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: Annotated[float, Meta(ge=0, le=100)] | None = None
    mirostat_eta: Annotated[float, Meta(ge=0, le=100)] | None = None
    stop: _Stop | Annotated[list[_Stop], Meta(max_length=16)] | None = None


_NO_OPTIONS = Options()

# --- messages -------------------------------------------------------------------------------------------


class CalledFunction(Part):
    name: Name
    arguments: Json | str | None = None


class ToolCall(Part):
    function: CalledFunction
    id: str | None = None


class Message(Part):
    """A turn. The result of a tool may name neither its call nor its tool: results then follow the calls' order."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    name: str | None = None
    tool_call_id: str | None = None


class Function(Part):
    name: Name
    description: str | None = None
    parameters: Json | None = None


class Tool(Part):
    function: Function
    type: str | None = None


# --- bodies ---------------------------------------------------------------------------------------------

Think = bool | Literal["low", "medium", "high", ""]
Format = str | Json


class OllamaBody(Body, kw_only=True):
    """What all of them have."""

    model: Annotated[str, Meta(min_length=1)]
    options: Options | None = None
    keep_alive: KeepAlive | None = None

    @property
    def choices(self) -> Options:
        return self.options or _NO_OPTIONS

    @property
    def keep_alive_s(self) -> float | None:
        return keep_alive_s(self.keep_alive)

    @property
    def wanted_context(self) -> int | None:
        return self.choices.num_ctx


class GenerationBody(OllamaBody, kw_only=True):
    """What chat and generate share; a request that does not say is streamed."""

    stream: bool | None = None
    format: Format | None = None
    think: Think | None = None
    max_tokens: Count | None = None  # by the model's preset
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None

    @property
    def is_stream(self) -> bool:
        return self.stream is not False

    @property
    def wanted_tokens(self) -> int | None:
        limit = self.choices.num_predict
        if limit is None:
            return self.max_tokens
        return limit if limit > 0 else None

    @property
    def constraint_field(self) -> str | None:
        return "format" if self.format not in (None, "") else None


class ChatBody(GenerationBody, kw_only=True):
    function_types: ClassVar[tuple[str | None, ...]] = ("function",)

    messages: list[Message] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None

    @property
    def wants_tools(self) -> bool:
        return bool(self.tools)

    @property
    def has_images(self) -> bool:
        return any(message.images for message in self.messages or ())

    @property
    def constraint_field(self) -> str | None:
        return super().constraint_field or ("tools" if self.tools else None)

    @property
    def is_load_only(self) -> bool:
        return not self.messages


class GenerateBody(GenerationBody, kw_only=True):
    content_field: ClassVar[str] = "prompt"

    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    images: list[str] | None = None
    raw: bool | None = None

    @property
    def has_images(self) -> bool:
        return bool(self.images)

    @property
    def prompt_parts(self) -> list[str | list[int]]:
        return [(self.prompt or "") + (self.suffix or "")]

    @property
    def is_plain_text(self) -> bool:
        """Whether no template touches the prompt."""
        return bool(self.raw or self.suffix)

    @property
    def is_load_only(self) -> bool:
        return not self.prompt and not self.suffix and not self.images


# --- embeddings -----------------------------------------------------------------------------------------


class EmbedBody(OllamaBody, kw_only=True):
    content_field: ClassVar[str] = "input"

    input: str | Annotated[list[str], Meta(max_length=2048)] | None = None
    truncate: bool | None = None
    dimensions: Count | None = None

    @property
    def texts(self) -> list[str]:
        """The texts to embed; an empty input has none."""
        if isinstance(self.input, list):
            return self.input
        return [self.input] if self.input else []

    @property
    def answer_count(self) -> int:
        return max(1, len(self.texts))

    @property
    def texts_to_cut(self) -> list[str]:
        return [] if self.truncate is False else self.texts


class EmbeddingsBody(OllamaBody, kw_only=True):
    """The older endpoint, of one text."""

    content_field: ClassVar[str] = "prompt"

    prompt: str | None = None

    @property
    def texts(self) -> list[str]:
        return [self.prompt] if self.prompt else []

    @property
    def texts_to_cut(self) -> list[str]:
        return self.texts
