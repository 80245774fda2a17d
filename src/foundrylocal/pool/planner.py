"""The answer to "does it fit, who leaves, what will it cost": start, switch, load, details and search ask here.

`decide` is pure; `Planner` gathers what it decides by. Invariant: a plan changes nothing, and what it says is what a
load at the same moment would do, since both leave the same reserve and choose victims by the same rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from foundrylocal.catalog.memory import estimate_from_size
from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.space import DiskNeed
from foundrylocal.engine.devices import Device
from foundrylocal.engine.engine import BUILT_IN, EngineReport
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import EngineUnavailable, FoundryLocalError, InsufficientMemory
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool import options as load_options
from foundrylocal.pool.eviction import Candidate, Refusal, choose_victims
from foundrylocal.pool.measured_times import MeasuredTimes
from foundrylocal.pool.placement import Placement, place
from foundrylocal.pool.supply import ModelFiles, Supply
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import EffectiveOptions, LoadOptions
from foundrylocal.wire.options_report import OptionsReport, WantedOptions
from foundrylocal.wire.presets import Preset

ReportEngine = Callable[[str | None], Awaitable[EngineReport]]
"""What the engine of that name says of itself; raises EngineUnavailable for an unknown name."""
Action = Literal["none", "load", "download_and_load"]
DEFAULT_CONTEXT_TOKENS = 8192
_LOWER_BOUND = (
    "The model is not downloaded yet: the memory it needs is a lower bound, its file without its context."
)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes of the machine's memory: `free_bytes` is what a load may take now, the reserve already left out.

    `gpu_bytes` is what goes to the memory of a GPU and is not part of `needed_bytes`.
    """

    needed_bytes: int
    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    free_bytes: int
    reserve_bytes: int
    gpu_bytes: int = 0


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
    spec: ReplicaSpec | None = None
    files: ModelFiles | None = None
    replaces_pinned: bool = False
    """The server's own model has to leave first: there is no room for both."""

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
    """What a plan is decided by; `free_bytes` is below 0 in a shortage, `wanted` may still be "auto"."""

    files: ModelFiles | None
    disk: DiskNeed | None
    wanted: WantedOptions
    free_bytes: int
    reserve_bytes: int
    devices: tuple[Device, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    engine_refusal: EngineUnavailable | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """Who leaves for a load, or why it cannot be."""

    victims: tuple[Candidate, ...]
    refusal: FoundryLocalError | None
    replaces_pinned: bool = False


def decide(
    placement: Placement,
    free_bytes: int,
    candidates: Iterable[Candidate],
    *,
    model_id: str,
    may_replace_pinned: bool = False,
) -> Room:
    """Whether there is room and who leaves for it; a pinned model only with `may_replace_pinned`, and last."""
    if not placement.fits_gpu:
        return Room((), _too_large(placement.gpu_bytes, placement.gpu_free_bytes, "on the GPU"))
    those = tuple(candidates)
    beside = choose_victims(placement.host_bytes, free_bytes, those, for_model_id=model_id)
    if not isinstance(beside, Refusal):
        return Room(beside, None)
    if may_replace_pinned:
        # The pinned model leaves by the switch anyway, so that its memory counts as free.
        pinned = tuple(one for one in those if one.is_pinned and not one.is_leaving)
        freed = free_bytes + sum(one.memory_bytes for one in pinned)
        others = tuple(one for one in those if one not in pinned)
        instead = choose_victims(placement.host_bytes, freed, others, for_model_id=model_id)
        if not isinstance(instead, Refusal) and pinned:
            return Room(instead + pinned, None, replaces_pinned=True)
    return Room((), _too_large(beside.needed_bytes, beside.free_bytes))


def _too_large(needed_bytes: int, free_bytes: int, where: str = "") -> InsufficientMemory:
    free = format_bytes(max(0, free_bytes))
    return InsufficientMemory(format_bytes(needed_bytes), f"{free} {where}" if where else free)


class Planner:
    """Gathers the facts of now and decides by them; owns nothing."""

    def __init__(
        self,
        supply: Supply,
        launcher: Launcher,
        settings: SettingsStore,
        report_engine: ReportEngine,
        times: MeasuredTimes,
        presets: PresetStore,
    ) -> None:
        self._supply = supply
        self._launcher = launcher
        self._settings = settings
        self._report_engine = report_engine
        self.times = times
        self._presets = presets

    @property
    def reserve_bytes(self) -> int:
        """What every load leaves free of the machine's memory."""
        return self._settings.current.memory_reserve_mb * 1024 * 1024

    async def devices(self) -> tuple[Device, ...]:
        """What the engine of the settings can compute on, with what is free there now."""
        try:
            return (await self._report_engine(self._settings.current.engine)).devices
        except EngineUnavailable:
            return ()

    async def free_bytes(self) -> int:
        """What a load may take now with nobody leaving; below 0 in a shortage."""
        return await self._launcher.capacity(self.reserve_bytes)

    def want(self, model: Model, options: LoadOptions, preset: Preset | None = None) -> WantedOptions:
        """What a load with these options asks for, the model's preset (or this one) and the settings included."""
        if preset is None:
            preset = self._presets.of(model.model_id)
        return load_options.want(options, preset, self._settings.current)

    async def plan(
        self,
        model: Model,
        options: LoadOptions,
        candidates: Callable[[], Iterable[Candidate]] = tuple,
        *,
        loaded: ReplicaSpec | None = None,
        may_replace_pinned: bool = False,
        may_download: bool = True,
        is_strict: bool = False,
        preset: Preset | None = None,
    ) -> Plan:
        """What loading the model with these options would take; `loaded` is its replica that is in memory now.

        `candidates` is asked at the moment of what is free, so that the two agree. Without `may_download` the model's
        files have to be there, if in a former cache folder. With `is_strict`, an option that cannot be honored as
        asked is a refusal. A `preset` stands in for the saved one. Raises ModelCorrupted, ModelNotDownloaded, and
        EngineUnavailable when there is no engine of that name.
        """
        files = await (self._supply.inspect(model) if may_download else self._supply.require(model))
        disk = None if files else await self._supply.disk_need(model)
        wanted = self.want(model, options, preset)
        engine = await self._report_engine(wanted.values.engine)
        facts = Facts(
            files=files,
            disk=disk,
            wanted=wanted,
            free_bytes=await self.free_bytes(),
            reserve_bytes=self.reserve_bytes,
            devices=engine.devices,
            candidates=tuple(candidates()),
            engine_refusal=_engine_refusal(wanted.values.engine, engine),
        )
        plan = make_plan(model, facts, may_replace_pinned=may_replace_pinned, is_strict=is_strict)
        if files is None:
            return plan
        spec = self._supply.make_spec(model, files, plan.report, plan.memory.needed_bytes)
        if loaded is not None and spec.is_like(loaded):
            return replace(plan, action="none", refusal=None, unloads=(), drains=(), spec=spec)
        return replace(plan, spec=spec)


def decide_options(facts: Facts) -> EffectiveOptions:
    """The options that a replica gets: the only place where "auto" becomes a value."""
    asked, files = facts.wanted.values, facts.files
    tokens = DEFAULT_CONTEXT_TOKENS if asked.context_size == "auto" else asked.context_size
    decided = {
        "context_size": files.limit(tokens) if files else tokens,
        "threads": asked.threads if isinstance(asked.threads, int) else None,
    }
    return EffectiveOptions(**{name: getattr(asked, name) for name in type(asked).model_fields} | decided)


def make_plan(
    model: Model, facts: Facts, *, may_replace_pinned: bool = False, is_strict: bool = False
) -> Plan:
    """The plan by the facts alone."""
    files = facts.files
    options = decide_options(facts)
    report = load_options.report(facts.wanted, options, facts.devices)
    not_honored = report.not_honored()
    need = files.estimate(options) if files else estimate_from_size(model.file_size_bytes)
    placement = place(need, files.header.block_count if files else None, options.gpu_layers, facts.devices)
    # Nothing is known of a model whose size its publisher does not tell: the download will.
    is_known = files is not None or model.file_size_bytes > 0
    room = Room((), None)
    if is_known:
        room = decide(
            placement,
            facts.free_bytes,
            facts.candidates,
            model_id=model.model_id,
            may_replace_pinned=may_replace_pinned,
        )
    return Plan(
        model=model,
        action="load" if files else "download_and_load",
        report=report,
        memory=MemoryPlan(
            needed_bytes=placement.host_bytes,
            weights_bytes=need.weights_bytes,
            kv_cache_bytes=need.kv_cache_bytes,
            compute_bytes=need.compute_bytes,
            free_bytes=max(0, facts.free_bytes),
            reserve_bytes=facts.reserve_bytes,
            gpu_bytes=placement.gpu_bytes,
        ),
        disk=facts.disk,
        unloads=tuple(one.model_id for one in room.victims),
        drains=tuple(one.model_id for one in room.victims if one.is_busy),
        refusal=_refusal(facts, not_honored if is_strict else {}, room),
        warnings=(*([] if files else [_LOWER_BOUND]), *not_honored.values()),
        files=files,
        replaces_pinned=room.replaces_pinned,
    )


def _refusal(facts: Facts, not_honored: Mapping[str, str], room: Room) -> FoundryLocalError | None:
    """Why nothing is loaded: the engine cannot run, an option cannot be honored, or there is no room."""
    if not_honored and facts.engine_refusal is None:
        return load_options.OptionNotHonored(not_honored)
    return facts.engine_refusal or room.refusal


def _engine_refusal(name: str | None, engine: EngineReport) -> EngineUnavailable | None:
    """Why nothing can be loaded on that engine; None when it is ready."""
    if engine.is_ready:
        return None
    return EngineUnavailable(name or BUILT_IN, engine.message or "It is not ready.", engine.action or "")
