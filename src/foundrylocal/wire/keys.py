"""Shapes of gateway keys: what creates one, and how they are listed."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

ScopeName = Literal["inference", "read", "manage"]
_NAME: JsonDict = {"name": "alice"}
_RULES: JsonDict = {
    "scope": "inference",
    "models": ["Qwen2.5-0.5B-Instruct-Q8_0-GGUF"],
    "requests_per_minute": 20,
    "tokens_per_day": 200000,
    "expires_at": "2026-12-31T00:00:00Z",
}
_ENTRY: JsonDict = {
    **_NAME,
    **_RULES,
    "created_at": "2025-01-20T10:30:00Z",
    "last_used_at": "2025-01-20T11:00:00Z",
    "requests_last_minute": 3,
    "tokens_today": 1520,
}
_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
ModelName = Annotated[str, Field(min_length=1, max_length=512)]


class KeyBody(BaseModel):
    """A new key; a rule that is left out or null does not apply."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_NAME, {**_NAME, **_RULES}]})

    name: str = Field(
        pattern=_NAME_PATTERN,
        description="1 to 64 letters, digits, dots, dashes or underscores; it appears in figures and logs.",
    )
    scope: ScopeName = Field(
        "inference",
        description="`inference`: the gateway. `read`: GET calls of the management API. `manage`: every call.",
    )
    models: Annotated[list[ModelName], Field(min_length=1, max_length=256)] | None = Field(
        None, description="The models that it may use; without it, all."
    )
    requests_per_minute: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = Field(
        None, description="The most inference requests in any 60 seconds."
    )
    tokens_per_day: Annotated[int, Field(ge=1, le=10**15, strict=True)] | None = Field(
        None, description="Prompt and answer tokens per day (UTC); a request that has a slot may finish."
    )
    expires_at: AwareDatetime | None = Field(None, description="From then on the key is refused.")

    @field_validator("name", mode="before")
    @classmethod
    def _explain_name(cls, value: object) -> object:
        """Say in words what the pattern allows."""
        if isinstance(value, str) and re.fullmatch(_NAME_PATTERN, value) is None:
            raise PydanticCustomError(
                "key_name",
                "a name has 1 to 64 letters, digits, dots, dashes or underscores, and begins with a letter or digit",
            )
        return value

    @property
    def expires_at_s(self) -> float | None:
        expires: datetime | None = self.expires_at
        return None if expires is None else expires.timestamp()


class KeyEntry(BaseModel):
    """A key as it is listed, without its secret."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENTRY]})

    name: str
    scope: ScopeName
    models: list[str] | None
    requests_per_minute: int | None
    tokens_per_day: int | None
    expires_at: str | None
    created_at: str
    last_used_at: str | None = Field(description="Exact to a minute.")
    requests_last_minute: int = Field(description="Counted for keys with `requests_per_minute`.")
    tokens_today: int


class KeyList(BaseModel):
    keys: list[KeyEntry]
    total_count: int


class KeyCreated(KeyEntry):
    """The only answer that ever holds the key itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "success": True,
                    "message": "Key 'alice' created. Copy it now: it is not shown again.",
                    "key": "fl-YourApiKey123",
                    **_ENTRY,
                }
            ]
        }
    )

    success: bool
    message: str
    key: str


class KeyRevoked(BaseModel):
    success: bool
    message: str
    name: str
