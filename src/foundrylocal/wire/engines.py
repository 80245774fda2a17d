"""Shapes of the engines: what can compute on this machine, and on which devices."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_GB = 1024**3


class DeviceEntry(BaseModel):
    name: str
    kind: Literal["cpu", "gpu", "integrated", "accelerator"] = Field(
        description="`integrated` shares the machine's memory; `gpu` has memory of its own."
    )
    memory_bytes: int
    free_bytes: int


class EngineEntry(BaseModel):
    name: str = Field(description="What the load option `engine` takes.")
    kind: Literal["built-in", "llama-server"]
    version: str | None
    devices: list[DeviceEntry]
    state: Literal["ready", "missing", "incompatible"]
    message: str | None = Field(description="Why it is not ready, or what a ready one lacks.")
    action: str | None = Field(description="What to do when it is not ready.")


class EnginesAnswer(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "engines": [
                        {
                            "name": "built-in",
                            "kind": "built-in",
                            "version": "xllamacpp 2026.10.11549",
                            "devices": [
                                {
                                    "name": "CPU",
                                    "kind": "cpu",
                                    "memory_bytes": 32 * _GB,
                                    "free_bytes": 20 * _GB,
                                }
                            ],
                            "state": "ready",
                            "message": None,
                            "action": None,
                        },
                        {
                            "name": "cuda",
                            "kind": "llama-server",
                            "version": "b11549 (0123abc)",
                            "devices": [
                                {
                                    "name": "CUDA0: NVIDIA RTX 4090",
                                    "kind": "gpu",
                                    "memory_bytes": 24 * _GB,
                                    "free_bytes": 22 * _GB,
                                }
                            ],
                            "state": "ready",
                            "message": None,
                            "action": None,
                        },
                    ],
                    "total_count": 2,
                    "current": "built-in",
                }
            ]
        }
    )

    engines: list[EngineEntry]
    total_count: int
    current: str = Field(
        description="The engine that the server's current model runs on; without one, the engine of the settings."
    )
