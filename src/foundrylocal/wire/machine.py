"""Response shapes of /machine: memory and disk, and how much of them each loaded model uses."""

from __future__ import annotations

from pydantic import BaseModel, Field


class MachineMemory(BaseModel):
    total_bytes: int
    available_bytes: int = Field(
        description="What programs can use without swapping, as the system reports it."
    )
    free_bytes: int = Field(
        description="What a load may use now without unloading another model; the reserve is already subtracted."
    )
    evictable_bytes: int = Field(description="Memory of the loaded models that can be unloaded to make room.")
    reserve_bytes: int = Field(description="Memory that every load leaves free.")
    budget_bytes: int | None = Field(
        description="What all models may use together; null means whatever is free."
    )


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
    """A model in memory, once for each of its replicas."""

    model: str
    model_id: str
    replica: str = Field(description="Identifies the replica; a model may have several.")
    node: str = Field(description="Where it runs; local is this machine.")
    state: str = Field(description="loading, ready, yielding or draining.")
    memory_bytes: int = Field(description="Resident memory of its process now.")
    estimated_bytes: int = Field(description="Memory that the plan of its load expected.")
    context_size: int
    parallel: int
    is_pinned: bool = Field(description="Whether it is never unloaded for another model.")
    loaded_at: str | None
    unloads_at: str | None = Field(
        description="When it will be unloaded if no request arrives; null means never."
    )


class Machine(BaseModel):
    """Memory and disk in bytes, rounded to 1 MB."""

    memory: MachineMemory
    gpus: list[MachineGpu] | None = Field(
        description="Null in /events, because the engine can take long to answer."
    )
    disk: MachineDisk
    models: list[MachineModel]
