"""Presets: what is saved for one model. Shapes of the preset itself and of the calls about it.

`Preset` is the load options and the request defaults of one model, each null unless it was saved.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from foundrylocal.wire.load_options import LoadOptions
from foundrylocal.wire.options_report import Source

MAX_SYSTEM_PROMPT_CHARS: Final = 32_768
MAX_TEMPLATE_KWARGS_BYTES: Final = 16_384

Applies = Literal["at_once", "next_load"]
StopText = Annotated[str, Field(min_length=1, max_length=1024)]


class RequestDefaults(BaseModel):
    """What a request to the model uses where it says nothing itself; null leaves it to the model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    temperature: float | None = Field(
        None, ge=0, le=2, description="Sampling temperature; 0 is deterministic."
    )
    top_p: float | None = Field(None, ge=0, le=1, description="Nucleus sampling: share of probability kept.")
    top_k: int | None = Field(None, ge=0, le=2**31 - 1, description="Number of candidates; 0 means all.")
    min_p: float | None = Field(
        None, ge=0, le=1, description="Minimum probability of a token, relative to the most likely one."
    )
    repeat_penalty: float | None = Field(
        None, ge=0, le=100, description="Penalty for repeated tokens; 1 is none."
    )
    presence_penalty: float | None = Field(None, ge=-2, le=2, description="Penalty for tokens already used.")
    frequency_penalty: float | None = Field(
        None, ge=-2, le=2, description="Penalty for tokens by how often they were used."
    )
    seed: int | None = Field(
        None,
        ge=-(2**63),
        le=2**64,
        description="Random seed: the same seed gives the same answer to the same request.",
    )
    stop: list[StopText] | None = Field(None, max_length=16, description="Texts that end an answer.")
    max_tokens: int | None = Field(None, ge=1, le=2**31 - 1, description="Longest answer in tokens.")
    system_prompt: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_SYSTEM_PROMPT_CHARS,
        description="System prompt for conversations that have none.",
    )
    chat_template_kwargs: dict[str, JsonValue] | None = Field(
        None, max_length=64, description="Arguments of the chat template, such as enable_thinking."
    )

    @field_validator("stop", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("chat_template_kwargs")
    @classmethod
    def _is_bounded(cls, value: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        if value is not None and len(json.dumps(value)) > MAX_TEMPLATE_KWARGS_BYTES:
            raise ValueError(f"must not be larger than {MAX_TEMPLATE_KWARGS_BYTES} bytes")
        return value


class Preset(LoadOptions, RequestDefaults):
    """Everything that can be saved for one model; null is not saved."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def saved(self) -> dict[str, Any]:
        """The values that are saved, as JSON has them."""
        return self.model_dump(mode="json", exclude_none=True)


class PresetBody(Preset):
    """Body of POST /models/{name}/preset: values to save; null removes one, those left out stay as they are."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"context_size": 16384, "temperature": 0.2, "system_prompt": "You are a helpful assistant."},
                {"kv_cache_type": "q8_0", "pinned": True, "dry_run": True},
            ]
        }
    )

    dry_run: bool = Field(False, description="Only validate and show the outcome; save nothing.")


class PresetAnswer(BaseModel):
    """The preset of one model and what it leads to."""

    model: str
    saved: dict[str, Any] = Field(description="The values that are saved for this model.")
    effective: dict[str, Any] = Field(
        description="What the next load and the next request use; null leaves it to the model or the engine."
    )
    sources: dict[str, Source] = Field(
        description="Where each effective value comes from: preset, setting, model (its own file) or auto."
    )


class _Done(BaseModel):
    success: bool
    message: str


class PresetChangeAnswer(PresetAnswer, _Done):
    """The same after a change."""

    applies: dict[str, Applies] = Field(
        description="For each changed value, whether it holds at once or from the next load of the model on."
    )
