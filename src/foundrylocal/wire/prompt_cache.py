"""Response shapes of the prompt cache."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

_NAME = "Qwen2.5-3B-Instruct-Q4_K_M-GGUF"
_LIST: JsonDict = {
    "models": [
        {
            "model": _NAME,
            "model_id": f"Qwen/{_NAME}",
            "prompts": 2,
            "bytes": 104857600,
            "bytes_formatted": "100.0 MB",
            "tokens": 5214,
            "hits": 3,
            "saved_at": "2025-01-20T10:30:00Z",
            "last_used_at": "2025-01-20T11:05:00Z",
            "age_seconds": 2400,
        }
    ],
    "total_count": 1,
    "total_bytes": 104857600,
    "limit_bytes": 2147483648,
    "keep": False,
}


class SavedPromptsOfModel(BaseModel):
    """The saved prompts of one model; `saved_at` and `age_seconds` are those of the newest."""

    model: str
    model_id: str
    prompts: int
    bytes: int
    bytes_formatted: str
    tokens: int
    hits: int
    saved_at: str
    last_used_at: str
    age_seconds: int


class PromptCacheList(BaseModel):
    """What is saved, by model; `limit_bytes` is 0 when the cache is off."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LIST]})

    models: list[SavedPromptsOfModel]
    total_count: int
    total_bytes: int
    limit_bytes: int
    keep: bool


class PromptCacheCleared(BaseModel):
    success: bool
    message: str
    removed: int
    freed_bytes: int
    freed_formatted: str
