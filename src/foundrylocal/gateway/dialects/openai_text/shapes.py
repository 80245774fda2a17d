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
    def prompt_count(self) -> int:
        return texts_in(self.prompt)
