"""How a model's memory divides between the machine and a GPU: pure arithmetic on an estimate.

Invariant: the parts are never less than the estimate together: what the engine computes with counts on both sides.
Devices that share the machine's memory count as the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from foundrylocal.catalog.memory import MemoryEstimate
from foundrylocal.engine.devices import Device, DeviceKind


@dataclass(frozen=True, slots=True)
class Placement:
    """Bytes on the machine and on its GPUs; `layers` run on the GPU, of the `gpu_free_bytes` there."""

    host_bytes: int
    gpu_bytes: int
    layers: int
    gpu_free_bytes: int

    @property
    def fits_gpu(self) -> bool:
        return self.gpu_bytes <= self.gpu_free_bytes


def place(
    need: MemoryEstimate, block_count: int | None, gpu_layers: int | None, devices: Sequence[Device]
) -> Placement:
    """Where the bytes go. `gpu_layers` None is as many layers as fit, which is what the engine does by itself."""
    # The engine counts what makes the answer out of the last layer's result as a layer.
    layers = (block_count or 0) + 1
    if not any(device.kind is DeviceKind.GPU for device in devices):
        on_gpu = min(layers, layers if gpu_layers is None else gpu_layers) if has_gpu(devices) else 0
        return Placement(need.total_bytes, 0, on_gpu, 0)
    free_bytes = sum(device.free_bytes for device in devices if device.kind is DeviceKind.GPU)
    layer_bytes = -(-(need.weights_bytes + need.kv_cache_bytes) // layers)
    fitting = (free_bytes - need.compute_bytes) // max(1, layer_bytes)
    on_gpu = max(0, min(layers, fitting if gpu_layers is None else gpu_layers))
    if not on_gpu:
        return Placement(need.total_bytes, 0, 0, free_bytes)
    moved_bytes = min(on_gpu * layer_bytes, need.weights_bytes + need.kv_cache_bytes)
    return Placement(need.total_bytes - moved_bytes, moved_bytes + need.compute_bytes, on_gpu, free_bytes)


def has_gpu(devices: Sequence[Device]) -> bool:
    """Whether a device can take layers of a model."""
    return any(device.kind in (DeviceKind.GPU, DeviceKind.INTEGRATED) for device in devices)
