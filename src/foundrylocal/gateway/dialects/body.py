"""What every request body has in common, and the number types that the shapes are made of.

Invariant: a body is decoded into its shape and encoded again from it, so the engine never sees a field, a
duplicate key or a number that was not checked here. An optional field that is null counts as absent.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from foundrylocal.gateway.dialects.refusals import refuse

Json = dict[str, Any]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
CountOrZero = Annotated[int, Meta(ge=0, le=2**31 - 1)]
# The engine allocates as many tokens as a request lets it look back.
Window = Annotated[int, Meta(ge=0, le=65536)]
# Checked by `engine_seed`: msgspec has no bounds beyond 64 bits.
Seed = int
Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Factor = Annotated[float, Meta(ge=0, le=100)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Tokens = Annotated[list[Token], Meta(min_length=1)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Stop = Annotated[str, Meta(min_length=1, max_length=1024)]
Stops = Stop | Annotated[list[Stop], Meta(max_length=16)]
Schema = Json
MIN_SEED, MAX_SEED = -(2**63), 2**64
MAX_ANSWERS_PER_PROMPT = 128
# The engine takes the largest number of 32 bits as "random", and adds an answer's number to the seed: no answer of a
# request may come to that number.
_SEEDS = 2**32 - 1 - MAX_ANSWERS_PER_PROMPT


class Part(msgspec.Struct, omit_defaults=True):
    """A piece of a request."""


class Body(Part, kw_only=True):
    """A request: the model's name chooses the replica and is not sent on to it."""

    gateway_fields: ClassVar[tuple[str, ...]] = ("model", "user")
    """Fields that the gateway reads and the engine does not get."""
    content_field: ClassVar[str] = "messages"
    """The field that holds what the model reads: an error about that names it."""

    function_types: ClassVar[tuple[str | None, ...]] = ()
    """The types of tools that the client runs itself; others are left out, see `unsupported_tools`."""

    model: str | None = None
    user: str | None = None
    # A list of types, and the name of the key that the request came with. Both are set when the body is read,
    # whatever a client sends under these names.
    unsupported_tools: Any = None
    owner: Any = None

    @property
    def is_stream(self) -> bool:
        """Whether the client wants the answer as a stream."""
        return bool(getattr(self, "stream", False))

    @property
    def end_user(self) -> str:
        """The person or program that the request names as its author; empty when it names none."""
        return self.user or ""

    @property
    def wants_tools(self) -> bool:
        """Whether the model may call a tool in its answer."""
        return False

    @property
    def has_images(self) -> bool:
        return False

    @property
    def prompt_count(self) -> int:
        """How many prompts the engine reads for it."""
        return 1

    @property
    def answer_count(self) -> int:
        """How many answers it asks for, of all its prompts together."""
        return self.prompt_count

    @property
    def answers_per_prompt(self) -> int:
        """How many answers it asks for to each of its prompts."""
        return 1

    @property
    def wanted_tokens(self) -> int | None:
        """How long each answer may be at most, in tokens; None when the request does not say."""
        return getattr(self, "max_tokens", None)

    @property
    def wanted_context(self) -> int | None:
        """The context in tokens that the model has to be loaded with; None when the request does not say."""
        return None

    @property
    def texts_to_cut(self) -> list[str]:
        """Its texts, when those that are longer than the context are to be cut to it; else none."""
        return []

    @property
    def keep_alive_s(self) -> float | None:
        """How long the model stays in memory after the request; None when the request does not say."""
        return None

    @property
    def prompt_parts(self) -> list[str | list[int]]:
        """Its prompts as texts or tokens, for endpoints without a chat template."""
        return []

    @property
    def constraint_field(self) -> str | None:
        """The field that says what the answer must look like, when the request has one."""
        return None


def engine_fields(body: Body) -> Json:
    """The fields of a body that the engine gets."""
    return {
        name: value
        for name in body.__struct_fields__
        if name not in (*body.gateway_fields, "unsupported_tools", "owner")
        and (value := getattr(body, name)) is not None
    }


def engine_seed(seed: int | None) -> int | None:
    """A seed as the engine takes it, so that every answer is deterministic. Raises InvalidRequest."""
    if seed is None:
        return None
    if not MIN_SEED <= seed <= MAX_SEED:
        refuse("seed", f"must be a number from {MIN_SEED} to {MAX_SEED}")
    return seed % _SEEDS


def texts_in(prompt: str | list[Any]) -> int:
    """How many prompts a field holds: a list of texts or of token lists is several, a list of tokens is one."""
    is_several = isinstance(prompt, list) and not any(isinstance(part, int) for part in prompt)
    return len(prompt) if is_several else 1
