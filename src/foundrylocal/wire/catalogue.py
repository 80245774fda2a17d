"""Shapes of the models' calls: lists, downloads, deletion, and the OpenAI list."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class ModelEntry(BaseModel):
    model_config = _example(**_ENTRY)

    model_id: str
    simple_name: str
    size: str
    quantization: str
    is_downloaded: bool
    is_loaded: bool
    file_size_bytes: int
    file_size_formatted: str


class DownloadedEntry(ModelEntry):
    model_config = _example(**_ENTRY, download_date="2025-01-15T14:30:00Z")

    download_date: str


class LoadedEntry(ModelEntry):
    model_config = _example(**(_ENTRY | {"is_loaded": True}), loaded_at="2025-01-20T10:30:00Z")

    loaded_at: str


class ModelList(BaseModel):
    models: list[ModelEntry]
    total_count: int


class DownloadedList(BaseModel):
    models: list[DownloadedEntry]
    total_count: int


class LoadedList(BaseModel):
    models: list[LoadedEntry]
    total_count: int


class GgufFacts(BaseModel):
    """What the file itself says, all parts together; a number is null where it is silent."""

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
    """What loading it with the settings of now would take, and whether that is free at this moment.

    Free is what the models in memory, `memory_reserve_mb` and `memory_budget_mb` leave.
    """

    context_size: int
    parallel: int
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    total_bytes: int
    total_formatted: str
    available_bytes: int
    fits_now: bool


class ModelDetails(ModelEntry):
    """One model whole; `gguf` and `memory` are null until it is downloaded."""

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
    problem: str | None = Field(description="What is wrong with the files on disk, if anything is.")


class CancelAnswer(BaseModel):
    success: bool
    message: str
    model_name: str


class DownloadAnswer(BaseModel):
    model_config = _example(
        success=True,
        message="Model downloaded successfully",
        model_name="Qwen2.5-3B-Instruct-Q4_K_M-GGUF",
        actual_model_id="Qwen/Qwen2.5-3B-Instruct-Q4_K_M-GGUF",
        file_size_bytes=2147483648,
        download_time_seconds=125,
    )

    success: bool
    message: str
    model_name: str
    actual_model_id: str
    file_size_bytes: int
    download_time_seconds: int


class DeleteAnswer(BaseModel):
    model_config = _example(
        success=True,
        message="Model deleted successfully",
        model_name="Qwen2.5-3B-Instruct-Q4_K_M-GGUF",
        freed_space_bytes=2147483648,
        freed_space_formatted="2.0 GB",
    )

    success: bool
    message: str
    model_name: str
    freed_space_bytes: int
    freed_space_formatted: str


class OpenAIModel(BaseModel):
    model_config = _example(id=f"Qwen/{_NAME}", object="model", created=1705743600, owned_by="foundry-local")

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelList(BaseModel):
    object: Literal["list"]
    data: list[OpenAIModel]
