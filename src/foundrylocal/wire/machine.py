"""Shapes of what the machine has and what the loaded models take of it."""

from __future__ import annotations

from pydantic import BaseModel, Field


class MachineMemory(BaseModel):
    total_bytes: int
    available_bytes: int = Field(description="What programs can have without swapping, by the system.")
    free_bytes: int = Field(
        description="What a load may take now with nobody leaving; the reserve is left out."
    )
    evictable_bytes: int = Field(description="What loaded models hold that may leave for another one.")
    reserve_bytes: int = Field(description="What every load leaves free.")
    budget_bytes: int | None = Field(description="What all models may use together; null: what is free.")


class MachineGpu(BaseModel):
    name: str
    total_bytes: int
    free_bytes: int


class MachineDisk(BaseModel):
    total_bytes: int
    free_bytes: int
    models_bytes: int
    partial_bytes: int = Field(description="Unfinished downloads.")


class MachineModel(BaseModel):
    """A model in memory."""

    model: str
    model_id: str
    state: str = Field(description="loading, ready, yielding or draining.")
    memory_bytes: int = Field(description="Resident memory of its process now.")
    estimated_bytes: int = Field(description="What it was planned with.")
    context_size: int
    parallel: int
    is_pinned: bool = Field(description="It does not leave for another model, nor for being idle.")
    loaded_at: str | None
    unloads_at: str | None = Field(description="When it leaves for being idle, unless a request comes.")


class Machine(BaseModel):
    """Memory and disk in bytes, rounded to 1 MB."""

    memory: MachineMemory
    gpus: list[MachineGpu] | None = Field(description="Null in /events: asking the engine may take long.")
    disk: MachineDisk
    models: list[MachineModel]
