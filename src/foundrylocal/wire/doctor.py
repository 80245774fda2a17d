"""Response shapes of the doctor."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

Level = Literal["ok", "warning", "error"]


class CheckEntry(BaseModel):
    name: str = Field(description="Identifies the check, such as `disk_space`.")
    status: Level
    message: str = Field(description="What was found, in one line.")
    action: str | None = Field(description="What to do next; null when there is nothing to do.")
    seconds: float = Field(description="How long the check took.")


class DoctorAnswer(BaseModel):
    status: Level = Field(description="The most serious status of all checks.")
    checks: list[CheckEntry]
    total_count: int
