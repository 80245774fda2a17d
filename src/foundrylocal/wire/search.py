"""Request and response shapes of a search on the hub."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SearchBody(BaseModel):
    """Body of /models/search."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"query": "qwen"}]}
    )

    query: str = Field(min_length=1, max_length=200, description="Words in the repository's name.")
    limit: int = Field(10, ge=1, le=50, description="Maximum number of repositories.")


class ChoiceEntry(BaseModel):
    quantization: str
    files: list[str]
    file_size_bytes: int | None
    file_size_formatted: str | None
    needed_memory_bytes: int | None = Field(
        description="The least that loading it takes: its file, without the context."
    )
    fits_memory: bool | None = Field(description="Whether that is free now without unloading another model.")


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
    free_memory_bytes: int = Field(description="What a model may take now; the reserve is left out.")
