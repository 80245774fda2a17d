"""Request and response shapes of a verification."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class VerifyBody(BaseModel):
    """Body of /models/{name}/verify; may be omitted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    repair: bool = Field(
        False, description="Download damaged files again; only those, where the source allows it."
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
