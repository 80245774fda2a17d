"""Shapes of the record of requests: figures, never content, except for captured bodies."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

RequestStatus = Literal["waiting", "running", "ok", "cancelled", "failed"]
_MODEL = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
_ENTRY: JsonDict = {
    "id": "req-9f86d081884c7d65",
    "at": "2025-01-20T10:30:00Z",
    "key": "alice",
    "model": _MODEL,
    "model_id": f"Qwen/{_MODEL}",
    "endpoint": "/v1/chat/completions",
    "status": "ok",
    "http_status": 200,
    "is_stream": True,
    "queue_ms": 0,
    "load_ms": 0,
    "prefill_ms": 85,
    "tokens_in": 412,
    "tokens_cached": 380,
    "tokens_out": 128,
    "tokens_per_second": 41.5,
    "first_token_ms": 92,
    "total_ms": 3180,
    "stop_reason": "stop",
    "client": "127.0.0.1 OpenAI/Python 2.1.0",
    "error": None,
}


class RequestError(BaseModel):
    code: str
    message: str | None = Field(description="Null when it could quote the request; its client got all of it.")


class RequestEntry(BaseModel):
    """One request. Figures that are not known, or not known yet, are null."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENTRY]})

    id: str = Field(description="Its client has it too, in the header `x-request-id`.")
    at: str
    key: str = Field(description="Name of its key; `default` is the published key, `none` means no key.")
    model: str | None
    model_id: str | None
    endpoint: str
    status: RequestStatus = Field(description="`cancelled`: by its client, or by DELETE.")
    http_status: int | None
    is_stream: bool
    queue_ms: int | None
    load_ms: int | None
    prefill_ms: int | None
    tokens_in: int | None = Field(description="Tokens of the prompt, those from the cache too.")
    tokens_cached: int | None
    tokens_out: int | None
    tokens_per_second: float | None
    first_token_ms: int | None = Field(description="For streams.")
    total_ms: int | None = Field(description="Null until it has ended.")
    stop_reason: str | None = Field(
        description="Why the engine stopped: `stop`, `length` or `tool_calls`; null where it did not say."
    )
    client: str = Field(description="Address of the client, and what its program calls itself.")
    error: RequestError | None


class RequestList(BaseModel):
    requests: list[RequestEntry]
    total_count: int = Field(description="How many match, whatever the limit.")


class CapturedBodies(BaseModel):
    """Both bodies: JSON where they are JSON, otherwise text."""

    request: Any
    answer: Any
    is_cut: bool = Field(description="A body was too long and is kept in part.")


class RequestDetails(RequestEntry):
    captured: CapturedBodies | None = Field(
        description="With the setting `capture_requests`, for callers that may manage the service."
    )


class RequestEndedAnswer(BaseModel):
    success: bool
    message: str
    id: str


class RequestsSummary(BaseModel):
    running: list[RequestEntry]
    recent: list[RequestEntry] = Field(description="The last 10 that ended, newest first.")
    ended_count: int = Field(description="How many have ended since the service started.")
