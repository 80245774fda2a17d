"""The load options, declared once: name, type, bounds, default and help of each.

`LoadSettings` declares those that are settings too, and `ModelOptions` adds those that belong to one model only.
`LoadOptions` is the same table with every value optional: what a caller or a preset gives. `EffectiveOptions` is the
outcome, with a number in place of each "auto"; a replica's spec, the plan and the worker's order carry it. So a new
option is one field here and one entry in `worker/parameters.py`.

`Residency` declares how long a model stays in memory; no worker hears of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
)
from pydantic_core import PydanticCustomError


def one_error(message: str) -> WrapValidator:
    """One error for a value that may have several types: by default, each type reports its own."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("no_such_value", message) from None

    return WrapValidator(validate)


Auto = Literal["auto"]
KvCacheType = Literal["f16", "q8_0", "q4_0"]
ModelName = Annotated[str, Field(min_length=1, max_length=512)]
ContextTokens = Annotated[int, Field(ge=256, le=4_194_304)]
Threads = Annotated[int, Field(ge=1, le=512)]
ContextSize = Annotated[
    ContextTokens | Auto, one_error("Input should be a whole number from 256 to 4194304, or 'auto'")
]
ThreadCount = Annotated[
    Threads | Auto | None, one_error("Input should be a whole number from 1 to 512, or 'auto'")
]

MAX_LORA_ADAPTERS: Final = 8
MAX_IDLE_UNLOAD_S: Final = 604_800


class DraftModel(BaseModel):
    """Speculative decoding with a second, smaller model that proposes tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    draft_model: ModelName = Field(description="Name of a downloaded model with the same vocabulary.")
    max_tokens: int = Field(16, ge=1, le=64, description="Tokens that it proposes at a time.")


Speculative = Annotated[
    Literal["off", "ngram"] | DraftModel,
    one_error("Input should be 'off', 'ngram' or an object with draft_model and max_tokens (1 to 64)"),
]


class LoraAdapter(BaseModel):
    """One LoRA adapter and how strongly it counts."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: ModelName = Field(description="Name of a downloaded adapter for the same architecture.")
    scale: float = Field(1.0, ge=-10, le=10, description="Strength of the adapter; 1 is as trained.")


class LoadSettings(BaseModel):
    """The load options that are settings too: a setting is the default for all models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_size: ContextSize = Field(
        "auto", description="Context size in tokens, at most what the model supports, or auto."
    )
    parallel: int = Field(4, ge=1, le=64, description="Requests that a model answers concurrently.")
    threads: ThreadCount = Field(
        "auto", description="Engine threads; auto, or null, chooses a number that fits this machine."
    )
    gpu_layers: int | None = Field(
        None, ge=0, le=10_000, description="Layers offloaded to the GPU; null means as many as fit."
    )
    kv_cache_type: KvCacheType = Field(
        "f16",
        description=(
            "Number format of the context (KV cache) in memory; q8_0 needs about half the memory of f16, q4_0 about "
            "a quarter with a loss of quality."
        ),
    )
    speculative: Speculative = Field(
        "off",
        description=(
            "Speculative decoding; ngram proposes tokens from the text so far, {draft_model, max_tokens} from a "
            "second model."
        ),
    )
    engine: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Name of the engine that runs the model; null means the current engine.",
    )


class ModelOptions(LoadSettings):
    """The value of each load option of one model; "auto" is not decided yet."""

    batch_tokens: int | None = Field(
        None,
        ge=32,
        le=512,
        description=(
            "Tokens of a prompt that are computed at once, while other streams of the model wait; null means about a "
            "third of a second of work. `tune` measures it."
        ),
    )
    lora: list[LoraAdapter] = Field(
        default_factory=list,
        max_length=MAX_LORA_ADAPTERS,
        description="LoRA adapters to apply, each {model, scale}.",
    )


class IdleUnload(BaseModel):
    """When a model that nobody uses leaves memory; a setting and an option of one model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    idle_unload_seconds: int = Field(
        600,
        ge=0,
        le=MAX_IDLE_UNLOAD_S,
        description="Idle seconds after which a model that was loaded on demand is unloaded; 0 means never.",
    )


class Residency(IdleUnload):
    """How long a model stays in memory."""

    pinned: bool = Field(
        False,
        description="Keep the model in memory; it is never unloaded to make room or because it is idle.",
    )


class EffectiveOptions(ModelOptions):
    """What a replica runs with. `threads` None lets the engine choose."""

    context_size: ContextTokens = 8192
    threads: Threads | None = None


def make_optional(name: str, *declared: type[BaseModel]) -> Any:
    """A model with the same fields, each null by default: a null option leaves the choice to the settings."""
    annotated: Any = Annotated  # its arguments are known only when this runs
    fields: dict[str, Any] = {}
    for table in declared:
        for option, field in table.model_fields.items():
            bounded: Any = field.annotation
            if field.metadata:
                bounded = annotated[(bounded, *field.metadata)]
            what = (field.description or option).partition("; null")[0].rstrip(".")
            text = f"{what}; null means the setting's value."
            fields[option] = (bounded | None, Field(None, description=text))
    config = ConfigDict(extra="forbid", frozen=True)
    return create_model(name, __config__=config, __doc__="Load options of one call.", **fields)


if TYPE_CHECKING:

    class LoadOptions(BaseModel):
        """The load options that a caller gave for one load."""

        context_size: int | Auto | None
        parallel: int | None
        threads: int | Auto | None
        gpu_layers: int | None
        kv_cache_type: KvCacheType | None
        speculative: Literal["off", "ngram"] | DraftModel | None
        engine: str | None
        batch_tokens: int | None
        lora: list[LoraAdapter] | None
        pinned: bool | None
        idle_unload_seconds: int | None

        def __init__(self, **options: Any) -> None: ...
else:
    LoadOptions = make_optional("LoadOptions", ModelOptions, Residency)


def given_options(body: LoadOptions) -> LoadOptions:
    """The load options alone, out of a body that has other fields too."""
    return LoadOptions(**{name: getattr(body, name) for name in LoadOptions.model_fields})
