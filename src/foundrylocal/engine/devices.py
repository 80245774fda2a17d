"""What an engine can compute on besides the processor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class DeviceKind(StrEnum):
    """INTEGRATED shares the machine's own memory; GPU has memory of its own."""

    CPU = "cpu"
    GPU = "gpu"
    INTEGRATED = "integrated"
    ACCELERATOR = "accelerator"


@dataclass(frozen=True, slots=True)
class Device:
    """One device as the engine reports it; sizes in bytes."""

    name: str
    kind: DeviceKind
    memory_bytes: int
    free_bytes: int


def free_gpu_bytes(devices: Iterable[Device]) -> tuple[int, ...]:
    """The free memory of each GPU that has memory of its own."""
    return tuple(device.free_bytes for device in devices if device.kind is DeviceKind.GPU)
