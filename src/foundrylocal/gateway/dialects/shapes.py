"""What the OpenAI endpoints take, and what of it goes on to the engine: these fields and no others.

Invariant: a body is decoded into its shape and written anew from it, so the engine never sees a field, a
doubled key or a number that was not checked here. An optional field that is null is as one that is absent.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Json = dict[str, Any]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
CountOrNone = Annotated[int, Meta(ge=0, le=2**31 - 1)]
# The engine allocates as many tokens as it is told to look back.
Window = Annotated[int, Meta(ge=0, le=65536)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Factor = Annotated[float, Meta(ge=0, le=100)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Tokens = Annotated[list[Token], Meta(min_length=1)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Stop = Annotated[str, Meta(min_length=1, max_length=1024)]
Grammar = Annotated[str, Meta(max_length=65536)]
Stops = Stop | Annotated[list[Stop], Meta(max_length=16)]
LogitBias = Annotated[dict[str, Bias], Meta(max_length=4096)]
Schema = Json


class Part(msgspec.Struct, omit_defaults=True):
    """A piece of a request."""


class Body(Part, kw_only=True):
    """A request: the model's name chooses the worker and does not go on to it."""

    own: ClassVar[tuple[str, ...]] = ("model", "user")
    model: str | None = None
    user: str | None = None

    @property
    def is_stream(self) -> bool:
        return bool(getattr(self, "stream", False))

    @property
    def wants_tools(self) -> bool:
        """Whether the model may call a tool in its answer."""
        choice = getattr(self, "tool_choice", None)
        return bool(getattr(self, "tools", None)) and "none" not in (choice, getattr(choice, "type", None))

    @property
    def client(self) -> str:
        """Who asks, as far as the request tells."""
        return self.user or ""


class Sampling(Body, kw_only=True):
    """How tokens are chosen: OpenAI's names, and the engine's own for those who know them."""

    stream: bool | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    min_p: Share | None = None
    typical_p: Share | None = None
    top_n_sigma: Annotated[float, Meta(ge=-1, le=100)] | None = None
    repeat_penalty: Factor | None = None
    repeat_last_n: Window | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    mirostat: Literal[0, 1, 2] | None = None
    mirostat_tau: Factor | None = None
    mirostat_eta: Factor | None = None
    dry_multiplier: Factor | None = None
    dry_base: Factor | None = None
    dry_allowed_length: Window | None = None
    xtc_probability: Share | None = None
    xtc_threshold: Share | None = None
    seed: Seed | None = None
    logit_bias: LogitBias | None = None
    ignore_eos: bool | None = None
    grammar: Grammar | None = None
    json_schema: Schema | None = None


class StreamOptions(Part):
    include_usage: bool | None = None


# --- chat -----------------------------------------------------------------------------------------------


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
    arguments: str


class ToolCall(Part):
    function: CalledFunction
    id: str | None = None
    # A factory, since a plain default would be left out, and the engine wants it.
    type: Literal["function"] = msgspec.field(default_factory=lambda: "function")
    index: int | None = None


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


class ChosenTool(Part):
    type: Literal["function"]
    function: ChosenFunction


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


class ChatBody(Sampling, kw_only=True):
    own: ClassVar[tuple[str, ...]] = (
        *("model", "user", "functions", "function_call", "modalities", "audio", "prediction"),
        "web_search_options",
    )
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    stop: Stops | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonFormat | SchemaFormat | None = None
    reasoning_effort: str | None = None
    reasoning_format: Literal["none", "auto", "deepseek", "deepseek-legacy"] | None = None
    chat_template_kwargs: Json | None = None
    # Known only to be refused by name, since leaving them out would give another answer than was asked for.
    functions: Any = None
    function_call: Any = None
    modalities: list[str] | None = None
    audio: Any = None
    prediction: Any = None
    web_search_options: Any = None


class TemplateBody(Body, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    chat_template_kwargs: Json | None = None


# --- text -----------------------------------------------------------------------------------------------


class CompletionBody(Sampling, kw_only=True):
    prompt: str | list[str | Token | Tokens]
    max_tokens: Count | None = None
    n: Annotated[int, Meta(ge=1, le=8)] | None = None
    stop: Stops | None = None
    stream_options: StreamOptions | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


class Extra(Part):
    filename: str
    text: str


class InfillBody(Sampling, kw_only=True):
    input_prefix: str
    input_suffix: str
    input_extra: list[Extra] | None = None
    prompt: str | None = None
    n_predict: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    max_tokens: Count | None = None
    stop: Stops | None = None


class TokenizeBody(Body, kw_only=True):
    content: str
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None


class DetokenizeBody(Body, kw_only=True):
    tokens: list[Token]


# --- vectors --------------------------------------------------------------------------------------------


class EmbeddingBody(Body, kw_only=True):
    own: ClassVar[tuple[str, ...]] = ("model", "user", "dimensions")
    input: str | Annotated[list[str | Token | Tokens], Meta(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None


class Document(Part):
    text: str


class RerankBody(Body, kw_only=True):
    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | Document], Meta(min_length=1, max_length=2048)]
    top_n: Count | None = None
