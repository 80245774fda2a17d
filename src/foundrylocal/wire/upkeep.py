"""Shapes of what goes beyond the published calls: load, unload, verify, import, search."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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


class VerifyBody(BaseModel):
    """Body of /models/{name}/verify; it may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    repair: bool = Field(
        False, description="Fetch again what is wrong, and only that where the source allows."
    )


class FileVerdictEntry(BaseModel):
    name: str
    size_bytes: int
    problem: str | None


class VerifyAnswer(BaseModel):
    success: bool
    message: str
    model_name: str
    is_sound: bool
    can_repair: bool
    files: list[FileVerdictEntry]


class ImportBody(BaseModel):
    """Body of /models/import: a path of this machine, or a repository of the hub."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"repo": "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "quantization": "Q8_0"}]},
    )

    path: str | None = Field(
        None, max_length=4096, pattern=r"^[^\x00]+$", description="A GGUF file, or its folder."
    )
    projector_path: str | None = Field(
        None,
        max_length=4096,
        pattern=r"^[^\x00]+$",
        description="Its vision projector; by default the one beside it.",
    )
    mode: Literal["copy", "move", "link"] = Field("copy", description="What becomes of the file at `path`.")
    repo: str | None = Field(None, min_length=1, max_length=300, description="OWNER/REPO of the hub.")
    quantization: str | None = Field(None, min_length=1, max_length=64, description="Such as Q4_K_M.")
    file: str | None = Field(None, min_length=1, max_length=512, description="One file of the repository.")
    name: str | None = Field(None, min_length=1, max_length=96, description="The name it is to have here.")


class ImportableEntry(BaseModel):
    store: Literal["folder", "hugging-face", "ollama", "lm-studio"]
    name: str
    path: str
    projector_path: str | None
    quantization: str | None
    file_size_bytes: int
    file_size_formatted: str


class ImportableList(BaseModel):
    models: list[ImportableEntry]
    total_count: int


class SearchBody(BaseModel):
    """Body of /models/search."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"query": "qwen"}]}
    )

    query: str = Field(min_length=1, max_length=200, description="Words of the repository's name.")
    limit: int = Field(10, ge=1, le=50, description="How many repositories.")


class ChoiceEntry(BaseModel):
    quantization: str
    files: list[str]
    file_size_bytes: int | None
    file_size_formatted: str | None
    fits_memory: bool | None


class RepositoryEntry(BaseModel):
    repo: str
    revision: str | None
    license: str | None
    downloads: int | None
    is_gated: bool
    choices: list[ChoiceEntry]


class SearchAnswer(BaseModel):
    repositories: list[RepositoryEntry]
    total_count: int
