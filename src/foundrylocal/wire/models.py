"""Response shapes of models: lists, details, load and unload, deletion, and the OpenAI list."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from foundrylocal.wire.load_options import LoadOptions
from foundrylocal.wire.options_report import Source

_NAME = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
_ENTRY = {
    "model_id": f"Qwen/{_NAME}",
    "simple_name": _NAME,
    "size": "0.5B",
    "quantization": "Q8_0",
    "is_downloaded": True,
    "is_loaded": False,
    "file_size_bytes": 524288000,
    "file_size_formatted": "500.0 MB",
}
_OTHER = "Qwen2.5-3B-Instruct-Q4_K_M-GGUF"
_OTHER_ENTRY = {
    "model_id": f"Qwen/{_OTHER}",
    "simple_name": _OTHER,
    "size": "3B",
    "quantization": "Q4_K_M",
    "is_downloaded": False,
    "is_loaded": False,
    "file_size_bytes": 2147483648,
    "file_size_formatted": "2.0 GB",
}
_DOWNLOADED = _ENTRY | {"download_date": "2025-01-15T14:30:00Z"}
_LOADED = _ENTRY | {"is_loaded": True, "loaded_at": "2025-01-20T10:30:00Z"}


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class DefaultMemory(BaseModel):
    """The memory of a model with the context that `auto` gives it where there is enough memory."""

    context_size: int
    needed_bytes: int
    needed_formatted: str


class ModelEntry(BaseModel):
    model_config = _example(**_ENTRY)

    model_id: str
    simple_name: str
    kind: Literal["model", "adapter"] = Field(
        description="A LoRA adapter is loaded together with a model, by the option lora."
    )
    size: str
    quantization: str
    is_downloaded: bool
    is_loaded: bool
    file_size_bytes: int
    file_size_formatted: str
    family: str | None = None
    license: str | None = None
    context_length: int | None = None
    capabilities: list[str] = []
    purpose: Literal["embedding", "rerank", "vision", "code", "reasoning", "chat", "completion"] | None = (
        Field(None, description="What it is for, in one word; null if unknown.")
    )
    tuning: Literal["chat", "base"] | None = Field(
        None, description="chat: trained for conversations; base: it only continues text."
    )
    languages: list[str] | None = Field(
        None, description="Languages that the publisher names (ISO 639-1); null if it names none."
    )
    language_count: int | None = Field(
        None, description="How many languages the publisher claims, where it does not name them all."
    )
    needed_memory_bytes: int | None = Field(
        None,
        description="The least that loading it takes: with the smallest context that auto chooses, or its file "
        "alone if its dimensions are not in the catalog.",
    )
    default_memory: DefaultMemory | None = Field(
        None, description="null if the dimensions of the model are not in the catalog."
    )


class DownloadedEntry(ModelEntry):
    model_config = _example(**_DOWNLOADED)

    download_date: str


class LoadedEntry(ModelEntry):
    model_config = _example(**_LOADED)

    loaded_at: str


class ModelList(BaseModel):
    model_config = _example(models=[_ENTRY, _OTHER_ENTRY], total_count=2)

    models: list[ModelEntry]
    total_count: int


class DownloadedList(BaseModel):
    model_config = _example(models=[_DOWNLOADED], total_count=1)

    models: list[DownloadedEntry]
    total_count: int


class LoadedList(BaseModel):
    model_config = _example(models=[_LOADED], total_count=1)

    models: list[LoadedEntry]
    total_count: int


class GgufFacts(BaseModel):
    """Facts from the file itself, all parts together; a number is null if the file does not state it."""

    architecture: str
    name: str | None
    parameter_count: int
    context_length: int | None
    block_count: int | None = Field(description="Layers.")
    head_count: int | list[int] | None = Field(description="Attention heads; a list has one for each layer.")
    head_count_kv: int | list[int] | None = Field(description="Heads of keys and values, likewise.")
    embedding_length: int | None
    quantization: str | None
    has_chat_template: bool
    is_embedding: bool
    is_reranker: bool
    tensor_count: int


class MemoryFacts(BaseModel):
    """The memory that loading it with the current settings needs, and whether that much is available now.

    Available is what the models in memory, `memory_reserve_mb` and `memory_budget_mb` leave.
    """

    context_size: int
    parallel: int
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    total_bytes: int
    total_formatted: str
    available_bytes: int
    reserve_bytes: int = Field(description="What every load leaves free; not part of `available_bytes`.")
    fits_now: bool = Field(description="Whether it can be loaded now without unloading another model.")
    is_lower_bound: bool = Field(
        description="It is not downloaded and its dimensions are not in the catalog: its context is not counted."
    )


class FileFacts(BaseModel):
    """One file of a model; size and sha256 are null where its publisher does not state them."""

    name: str
    size_bytes: int | None
    sha256: str | None


class ModelDetails(ModelEntry):
    """Everything about one model; `gguf` is null until it is downloaded, `memory` if no size is known."""

    model_config = ConfigDict(json_schema_extra={})

    family: str | None
    license: str | None
    context_length: int | None
    capabilities: list[str]
    is_downloading: bool
    download_date: str | None
    loaded_at: str | None
    gguf: GgufFacts | None
    memory: MemoryFacts | None
    options: OptionsAnswer | None = Field(
        description="Load options of the loaded model, or of its next load; null if its files are damaged."
    )
    preset: dict[str, Any] = Field(description="What is saved for this model.")
    files: list[FileFacts]
    source: str = Field(description="Where its files come from.")
    problem: str | None = Field(description="What is wrong with the files on disk, if anything.")


class DeleteAnswer(BaseModel):
    model_config = _example(
        success=True,
        message="Model deleted successfully",
        model_name=_OTHER,
        freed_space_bytes=2147483648,
        freed_space_formatted="2.0 GB",
    )

    success: bool
    message: str
    model_name: str
    freed_space_bytes: int
    freed_space_formatted: str


class LoadCallOptions(LoadOptions):
    """Load options of one call; they hold until the model is unloaded on request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    strict: bool = Field(
        False, description="Refuse the load when an option or the preset cannot be honored exactly as asked."
    )


class LoadBody(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"options": {"context_size": 4096}}]}
    )

    options: LoadCallOptions | None = Field(
        None, description="Without options, the preset and the settings decide."
    )


class OptionsAnswer(BaseModel):
    """What a load was asked for beside what it got."""

    asked: dict[str, Any] = Field(
        description="Each load option as the request, the preset or a setting has it."
    )
    effective: dict[str, Any] = Field(description="Each load option as the model runs with it, or would.")
    sources: dict[str, Source] = Field(
        description="Where each effective value comes from: request, preset, setting, model (its file) or auto."
    )
    reasons: dict[str, str] = Field(description="Why an option could not be honored as asked.")


class LoadAnswer(BaseModel):
    success: bool
    message: str
    model_name: str
    loaded_model_id: str
    loaded_at: str | None


class UnloadAnswer(BaseModel):
    success: bool
    message: str
    model_name: str


def _openai(name: str) -> dict[str, Any]:
    return {"id": f"Qwen/{name}", "object": "model", "created": 1705743600, "owned_by": "foundry-local"}


class OpenAIModel(BaseModel):
    model_config = _example(**_openai(_NAME))

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelList(BaseModel):
    model_config = _example(object="list", data=[_openai(_NAME), _openai(_OTHER)])

    object: Literal["list"]
    data: list[OpenAIModel]
