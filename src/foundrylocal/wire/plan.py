"""Shapes of /plan: what a start, a switch or a load would take and do, worked out without doing it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from foundrylocal.wire.options_report import Source
from foundrylocal.wire.server import ErrorObject

_NAME = "Qwen2.5-0.5B-Instruct-Q8_0-GGUF"
Basis = Literal["measured", "estimated"]


class PlanGpu(BaseModel):
    """The memory of the GPUs together; it is not part of the machine's."""

    needed_bytes: int
    free_bytes: int


class PlanMemory(BaseModel):
    """Memory of the machine."""

    needed_bytes: int = Field(description="What the load takes; less than its parts when layers go to a GPU.")
    weights_bytes: int
    kv_cache_bytes: int = Field(description="What it keeps of the context.")
    compute_bytes: int
    free_bytes: int = Field(description="What a load may take now without unloading another model.")
    reserve_bytes: int = Field(description="What every load leaves free; not part of `free_bytes`.")
    gpu: PlanGpu | None = Field(None, description="null if no layer goes to the memory of a GPU.")


class PlanDisk(BaseModel):
    """Disk space that the download needs."""

    needed_bytes: int
    free_bytes: int


class PlanBasis(BaseModel):
    """How each time is known; null if nothing is known."""

    download: Basis | None
    load: Basis | None


class PlanSeconds(BaseModel):
    """How long each step will take: 0 if it is not necessary, null if nothing is known."""

    download: float | None
    load: float | None
    basis: PlanBasis = Field(description="measured: by earlier loads and downloads on this machine.")


class PlanAnswer(BaseModel):
    """The plan; a start or a switch at the same moment does what it says."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": _NAME,
                    "model_id": f"Qwen/{_NAME}",
                    "action": "load",
                    "fits": True,
                    "effective": {"context_size": 32768, "parallel": 4, "kv_cache_type": "f16"},
                    "sources": {"context_size": "auto", "parallel": "setting", "kv_cache_type": "setting"},
                    "memory": {
                        "needed_bytes": 1288490188,
                        "weights_bytes": 675709952,
                        "kv_cache_bytes": 402653184,
                        "compute_bytes": 210127052,
                        "free_bytes": 6442450944,
                        "reserve_bytes": 536870912,
                        "gpu": None,
                    },
                    "disk": None,
                    "unloads": [],
                    "drains": [],
                    "seconds": {
                        "download": 0.0,
                        "load": 2.4,
                        "basis": {"download": "measured", "load": "measured"},
                    },
                    "node": "local",
                    "refusal": None,
                    "warnings": [],
                }
            ]
        }
    )

    model: str
    model_id: str
    action: Literal["none", "load", "download_and_load"] = Field(
        description="What would be done; none: the model is in memory with these options."
    )
    fits: bool = Field(description="Whether it would be done; if not, `refusal` says why.")
    effective: dict[str, Any] = Field(description="The load options that it would run with.")
    sources: dict[str, Source] = Field(
        description="Where each effective value comes from: request, preset, setting, model (its own file) or auto."
    )
    memory: PlanMemory
    disk: PlanDisk | None = Field(description="null if the model is on disk.")
    unloads: list[str] = Field(description="Models that would be unloaded to make room.")
    drains: list[str] = Field(description="Those of them that still answer requests, which are waited for.")
    seconds: PlanSeconds
    node: str = Field(description="Where the model would run: local is this machine.")
    refusal: ErrorObject | None = Field(description="The error that the call would fail with now.")
    warnings: list[str]
