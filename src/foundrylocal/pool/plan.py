"""A plan, and the facts that it is decided by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.space import DiskNeed
from foundrylocal.engine.devices import Device
from foundrylocal.engine.replica import ReplicaSpec, Room
from foundrylocal.errors import FoundryLocalError
from foundrylocal.pool.drafts import Draft
from foundrylocal.pool.eviction import Candidate
from foundrylocal.pool.measured_times import Duration
from foundrylocal.pool.supply import ModelFiles
from foundrylocal.wire.load_options import EffectiveOptions
from foundrylocal.wire.options_report import OptionsReport, WantedOptions

Action = Literal["none", "load", "download_and_load"]


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes of memory of the node that it would run on.

    `free_bytes` is what a load may take now, the reserve already left out. `gpu_bytes` is what goes to the memory of
    a GPU and is not part of `needed_bytes`; `gpu_free_bytes` is free there.
    """

    needed_bytes: int
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    free_bytes: int
    reserve_bytes: int
    gpu_bytes: int = 0
    gpu_free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PlannedTimes:
    """How long the steps of a plan will take; None: nothing is known of it."""

    download: Duration | None
    load: Duration | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load would take and do. `unloads` leave memory for it; of these, `drains` still answer requests.

    `spec` is what would run and `files` what is on disk; both are None while the model is not downloaded.
    """

    model: Model
    action: Action
    report: OptionsReport
    memory: MemoryPlan
    disk: DiskNeed | None
    unloads: tuple[str, ...]
    drains: tuple[str, ...]
    refusal: FoundryLocalError | None
    warnings: tuple[str, ...]
    times: PlannedTimes = PlannedTimes(None, None)
    spec: ReplicaSpec | None = None
    files: ModelFiles | None = None
    replaces_current: bool = False
    """The server's own model has to leave first: there is no room for both."""
    node: str = ""
    """Where it would run; "" is this machine."""

    @property
    def options(self) -> EffectiveOptions:
        """What a replica would run with."""
        return self.report.effective

    @property
    def fits(self) -> bool:
        return self.refusal is None

    @property
    def fits_now(self) -> bool:
        """Whether it could be loaded with nobody leaving."""
        return self.action == "none" or (self.fits and not self.unloads)

    def raise_if_refused(self) -> None:
        """Raise InsufficientMemory when the model cannot be loaded."""
        if self.refusal is not None:
            raise self.refusal


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan is decided by; `wanted` may still be "auto". `rooms` and `candidates` are of the same moment.

    A context that is "auto" leaves `margin_bytes` more free than the reserve. `devices` are those of the engine on
    this machine.
    """

    files: ModelFiles | None
    disk: DiskNeed | None
    wanted: WantedOptions
    rooms: tuple[Room, ...]
    reserve_bytes: int
    margin_bytes: int = 0
    devices: tuple[Device, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    draft: Draft | None = None
    adapter_bytes: int = 0
    refusal: FoundryLocalError | None = None
    """Why nothing can be loaded at all: for the engine, the draft model, the adapters, or the cluster."""
