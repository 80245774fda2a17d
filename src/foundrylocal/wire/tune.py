"""Response shapes of a tuning."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from foundrylocal.wire.load_options import KvCacheType


class TunedOptions(BaseModel):
    threads: int | None = Field(description="Null leaves the number to the service.")
    batch_tokens: int | None = Field(description="Null leaves the size to the service.")
    kv_cache_type: KvCacheType


class MeasuredOptions(BaseModel):
    options: TunedOptions
    prefill_tokens_per_second: float
    decode_tokens_per_second: float


class TuneAnswer(BaseModel):
    success: bool
    message: str
    model_name: str
    is_saved: bool = Field(description="Whether something better was found and saved as the model's preset.")
    gain_percent: float = Field(
        description="How much sooner a request with 512 prompt and 128 answer tokens is answered."
    )
    before: MeasuredOptions
    after: MeasuredOptions
    trials: list[MeasuredOptions]
    total_count: int
    seconds: float
    applies: Literal["next_load"] | None = Field(
        description="When the saved options hold; null without a change."
    )
