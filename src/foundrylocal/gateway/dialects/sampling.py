"""How tokens are chosen: the fields that the OpenAI endpoints and /infill share."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from foundrylocal.gateway.dialects.body import (
    MAX_ANSWERS_PER_PROMPT,
    Bias,
    Body,
    Count,
    Factor,
    Part,
    Penalty,
    Schema,
    Seed,
    Share,
    Stops,
    Temperature,
    Window,
    engine_seed,
)
from foundrylocal.gateway.dialects.refusals import refuse
from foundrylocal.gateway.limits.constraint import Constraint, grammar_constraint, schema_constraint
from foundrylocal.gateway.limits.schema_text import SchemaBudget

Grammar = Annotated[str, Meta(max_length=65536)]
LogitBias = Annotated[dict[str, Bias], Meta(max_length=4096)]


class Sampling(Body, kw_only=True):
    """OpenAI's names, and the engine's own for those who know them."""

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

    @property
    def constraint_field(self) -> str | None:
        if self.grammar is not None:
            return "grammar"
        return "json_schema" if self.json_schema is not None else None


class StreamOptions(Part):
    include_usage: bool | None = None


class Completions(Sampling, kw_only=True):
    """What chat and text completions share."""

    max_tokens: Count | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_ANSWERS_PER_PROMPT)] | None = None
    stop: Stops | None = None
    stream_options: StreamOptions | None = None

    @property
    def answers_per_prompt(self) -> int:
        return self.n or 1

    @property
    def answer_count(self) -> int:
        return self.prompt_count * self.answers_per_prompt

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with a count of its tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)


def check_sampling(body: Sampling) -> None:
    """Refuse what the types let pass; raises InvalidRequest."""
    body.seed = engine_seed(body.seed)
    if body.grammar is not None and body.json_schema is not None:
        refuse("json_schema", "cannot be combined with 'grammar'")
    for key in body.logit_bias or {}:
        if not (key.isascii() and key.isdecimal()) or len(key) > 10 or int(key) >= 2**31:
            refuse("logit_bias", "must have token numbers as its keys")


def sampling_constraint(body: Sampling, budget: SchemaBudget) -> Constraint | None:
    """What the engine's own fields say of the answer. Raises InvalidRequest for what cannot be kept."""
    if body.grammar:
        return grammar_constraint(body.grammar, "grammar")
    if body.json_schema is not None:
        return schema_constraint(body.json_schema, "json_schema", budget)
    return None


def check_stream_options(body: Completions) -> None:
    """Refuse options of a stream that is none; raises InvalidRequest."""
    if body.stream_options is not None and not body.stream:
        refuse("stream_options", "requires 'stream': true")
