"""Request and response shapes of imports: what a user brings, and what other programs have on this machine."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ImportBody(BaseModel):
    """Body of /models/import: a path on this machine, or a repository on the hub."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"repo": "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "quantization": "Q8_0"}]},
    )

    path: str | None = Field(
        None, max_length=4096, pattern=r"^[^\x00]+$", description="A GGUF file, or the folder it is in."
    )
    projector_path: str | None = Field(
        None,
        max_length=4096,
        pattern=r"^[^\x00]+$",
        description="The vision projector; by default the one in the same folder.",
    )
    mode: Literal["copy", "move", "link"] = Field("copy", description="What to do with the file at `path`.")
    repo: str | None = Field(None, min_length=1, max_length=300, description="OWNER/REPO on the hub.")
    quantization: str | None = Field(None, min_length=1, max_length=64, description="For example Q4_K_M.")
    file: str | None = Field(None, min_length=1, max_length=512, description="One file of the repository.")
    name: str | None = Field(
        None,
        min_length=1,
        max_length=96,
        description="The model's name here; by default derived from the file.",
    )


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
