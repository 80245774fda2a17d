"""What /v1/completions takes, and what of it goes on to the engine: these fields and no others."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from foundrylocal.gateway.dialects.body import Token, Tokens, texts_in
from foundrylocal.gateway.dialects.sampling import Completions


class CompletionBody(Completions, kw_only=True):
    content_field: ClassVar[str] = "prompt"

    prompt: str | list[str | Token | Tokens]
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None

    @property
    def prompt_parts(self) -> list[str | list[int]]:
        if isinstance(self.prompt, str):
            return [self.prompt]
        tokens = [part for part in self.prompt if isinstance(part, int)]
        if tokens:  # one prompt, of texts and tokens in turn
            return [tokens, *(part for part in self.prompt if isinstance(part, str))]
        return [part for part in self.prompt if not isinstance(part, int)]

    @property
    def prompt_count(self) -> int:
        return texts_in(self.prompt)
