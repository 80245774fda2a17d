"""What the endpoints take whose answers the engine gives in their published form already."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from foundrylocal.gateway.dialects.body import Body, Count, Json, Part, Stops, Token, Tokens, texts_in
from foundrylocal.gateway.dialects.openai_chat.shapes import Message, Tool, has_images
from foundrylocal.gateway.dialects.sampling import Sampling


class EmbeddingBody(Body, kw_only=True):
    gateway_fields: ClassVar[tuple[str, ...]] = ("model", "user", "dimensions")
    content_field: ClassVar[str] = "input"

    input: str | Annotated[list[str | Token | Tokens], Meta(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Count | None = None

    @property
    def answer_count(self) -> int:
        return texts_in(self.input)


class Document(Part):
    text: str


class RerankBody(Body, kw_only=True):
    content_field: ClassVar[str] = "documents"

    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | Document], Meta(min_length=1, max_length=2048)]
    top_n: Count | None = None


class ExtraFile(Part):
    filename: str
    text: str


class InfillBody(Sampling, kw_only=True):
    content_field: ClassVar[str] = "input_prefix"

    input_prefix: str
    input_suffix: str
    input_extra: list[ExtraFile] | None = None
    prompt: str | None = None
    n_predict: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    max_tokens: Count | None = None
    stop: Stops | None = None

    @property
    def wanted_tokens(self) -> int | None:
        n_predict = self.max_tokens if self.n_predict is None else self.n_predict
        return None if n_predict is None or n_predict < 0 else n_predict

    @property
    def prompt_parts(self) -> list[str | list[int]]:
        extra = "".join(file.filename + file.text for file in self.input_extra or ())
        return [extra + self.input_prefix + self.input_suffix + (self.prompt or "")]


class TokenizeBody(Body, kw_only=True):
    content_field: ClassVar[str] = "content"

    content: str
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None


class DetokenizeBody(Body, kw_only=True):
    content_field: ClassVar[str] = "tokens"

    tokens: list[Token]


class TemplateBody(Body, kw_only=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    chat_template_kwargs: Json | None = None

    @property
    def has_images(self) -> bool:
        return has_images(self.messages)
