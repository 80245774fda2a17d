"""The answer to "does it fit, who leaves, what will it cost": start, switch, load, details and search ask here.

`make_plan` is pure; `Planner` gathers the facts that it decides by. Invariant: a plan changes nothing, and what it
says is what a load at the same moment would do: both leave the same reserve and choose victims by the same rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model
from foundrylocal.catalog.shapes import expected_files
from foundrylocal.engine.devices import Device
from foundrylocal.engine.engine import BUILT_IN, EngineReport, EngineState
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import LoadedAdapter, ReplicaSpec
from foundrylocal.errors import EngineUnavailable, FoundryLocalError, ModelCorrupted, UnknownEngine
from foundrylocal.pool import options as load_options
from foundrylocal.pool.adapters import AdapterNotStartable, Adapters, AdapterUnusable
from foundrylocal.pool.drafts import Draft, DraftModelUnusable, Drafts, unsupported_by
from foundrylocal.pool.eviction import Candidate
from foundrylocal.pool.fitting import context_bounds, fit, memory_basis
from foundrylocal.pool.measured_times import NO_TIME, MeasuredTimes
from foundrylocal.pool.placement import has_gpu
from foundrylocal.pool.plan import Facts, MemoryPlan, Plan, PlannedTimes
from foundrylocal.pool.room import Room
from foundrylocal.pool.supply import ModelFiles, Supply
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import EffectiveOptions, LoadOptions
from foundrylocal.wire.options_report import WantedOptions
from foundrylocal.wire.presets import Preset

ReportEngine = Callable[[str | None], Awaitable[EngineReport]]
"""What the engine of that name says of itself; raises UnknownEngine."""
# What is free is not the same a moment later, when the model is loaded.
AUTO_MARGIN_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Companions:
    """What a model is loaded with, and why it cannot be."""

    engine: EngineReport
    draft: Draft | None = None
    adapters: tuple[LoadedAdapter, ...] = ()
    refusal: FoundryLocalError | None = None

    @property
    def adapter_bytes(self) -> int:
        return sum(adapter.file_bytes for adapter in self.adapters)


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
        find_model: Callable[[str], Model],
    ) -> None:
        self._supply = supply
        self._launcher = launcher
        self._settings = settings
        self._report_engine = report_engine
        self.times = times
        self.presets = presets
        self._drafts = Drafts(find_model, supply)
        self._adapters = Adapters(find_model, supply)

    @property
    def reserve_bytes(self) -> int:
        """What every load leaves free of the machine's memory."""
        return self._settings.current.memory_reserve_mb * 1024 * 1024

    async def devices(self) -> tuple[Device, ...]:
        """What the engine of the settings can compute on, with what is free there now."""
        try:
            return (await self._report_engine(self._settings.current.engine)).devices
        except UnknownEngine:
            return ()

    async def free_bytes(self) -> int:
        """What a load may take now with nobody leaving; below 0 in a shortage."""
        rooms = await self._launcher.rooms(reserve_bytes=self.reserve_bytes)
        return max((room.free_bytes for room in rooms if not room.is_suspect), default=0)

    async def room(self, candidates: Callable[[], Iterable[Candidate]]) -> tuple[int, tuple[Candidate, ...]]:
        """What is free now, and the candidates of the same moment with the memory that they really give back.

        That is their estimate, or what their workers have grown to: context checkpoints and cached prompts are not
        estimated.
        """
        taken = {one.id: one.memory_bytes for one in await self._launcher.list()}
        free_bytes = await self.free_bytes()
        measured = (
            replace(one, memory_bytes=max(one.memory_bytes, taken.get(one.id, 0))) for one in candidates()
        )
        return free_bytes, tuple(measured)

    def want(self, model: Model, options: LoadOptions, preset: Preset | None = None) -> WantedOptions:
        """What a load with these options asks for, the model's preset (or this one) and the settings included."""
        if preset is None:
            preset = self.presets.of(model.model_id)
        return load_options.want(options, preset, self._settings.current)

    async def plan(
        self,
        model: Model,
        options: LoadOptions,
        candidates: Callable[[], Iterable[Candidate]] = tuple,
        *,
        loaded: ReplicaSpec | None = None,
        may_replace_current: bool = False,
        may_download: bool = True,
        is_strict: bool = False,
        preset: Preset | None = None,
    ) -> Plan:
        """What loading the model with these options would take; `loaded` is its replica that is in memory now.

        `candidates` is asked at the moment of what is free, so that the two agree. Without `may_download` the model's
        files have to be there, if in a former cache folder. With `is_strict`, an option that cannot be honored as
        asked is a refusal. A `preset` stands in for the saved one. Raises ModelCorrupted, ModelNotDownloaded, and
        AdapterNotStartable for a LoRA adapter.
        """
        if model.is_adapter:
            raise AdapterNotStartable(model.simple_name)
        files = await (self._supply.inspect(model) if may_download else self._supply.require(model))
        disk = None if files else await self._supply.disk_need(model)
        wanted = self.want(model, options, preset)
        companions = await self._find_companions(model, files, wanted)
        free_bytes, those = await self.room(candidates)
        facts = Facts(
            files=files,
            disk=disk,
            wanted=wanted,
            free_bytes=free_bytes,
            reserve_bytes=self.reserve_bytes,
            margin_bytes=AUTO_MARGIN_BYTES,
            devices=companions.engine.devices,
            candidates=those,
            draft=companions.draft,
            adapter_bytes=companions.adapter_bytes,
            engine_refusal=companions.refusal,
        )
        plan = make_plan(model, facts, may_replace_current=may_replace_current, is_strict=is_strict)
        if files is None:
            return replace(plan, times=self._times_with_download(plan))
        spec = self._make_spec(model, files, plan, companions)
        if loaded is not None and spec.is_like(loaded):
            none = _nothing_to_do(model, facts, spec, loaded)
            is_refused = isinstance(plan.refusal, load_options.OptionNotHonored)
            return replace(none, refusal=plan.refusal) if is_refused else none
        return replace(plan, spec=spec, times=PlannedTimes(NO_TIME, self.times.load(spec)))

    async def plan_damaged(self, model: Model, options: LoadOptions, error: ModelCorrupted) -> Plan:
        """The plan for a model whose files cannot be read, by what the catalog knows of it."""
        facts = Facts(
            files=None,
            disk=None,
            wanted=self.want(model, options),
            free_bytes=await self.free_bytes(),
            reserve_bytes=self.reserve_bytes,
            devices=await self.devices(),
        )
        return replace(make_plan(model, facts), action="load", refusal=error, warnings=())

    async def settle(
        self, model: Model, spec: ReplicaSpec, candidates: Callable[[], Iterable[Candidate]]
    ) -> ReplicaSpec:
        """The specification as it fits now, when its context is "auto" and less is free than was planned.

        Raises ModelCorrupted, ModelNotDownloaded.
        """
        free_bytes = await self.free_bytes()
        if not spec.has_auto_context or spec.memory_bytes <= free_bytes:
            return spec
        assert spec.report is not None  # noqa: S101 - it has an "auto" context
        files = await self._supply.require(model)
        companions = await self._find_companions(model, files, spec.report.wanted)
        free_bytes, those = await self.room(candidates)
        facts = Facts(
            files=files,
            disk=None,
            wanted=spec.report.wanted,
            free_bytes=free_bytes,
            reserve_bytes=self.reserve_bytes,
            devices=companions.engine.devices,
            candidates=those,
            draft=companions.draft,
            adapter_bytes=companions.adapter_bytes,
        )
        plan = make_plan(model, facts)
        if plan.memory.needed_bytes >= spec.memory_bytes:
            return spec
        return replace(self._make_spec(model, files, plan, companions), id=spec.id)

    async def _find_companions(
        self, model: Model, files: ModelFiles | None, wanted: WantedOptions
    ) -> _Companions:
        """The engine, draft model and adapters of a load, or why it cannot run with them."""
        name, speculative = wanted.values.engine, wanted.values.speculative
        try:
            engine = await self._report_engine(name)
        except FoundryLocalError as error:  # there is none of that name, or no process can be started to ask
            return _Companions(EngineReport(EngineState.MISSING), refusal=error)
        if not engine.is_ready:
            reason, action = engine.message or "It is not ready.", engine.action or ""
            return _Companions(engine, refusal=EngineUnavailable(name or BUILT_IN, reason, action))
        if files is None:
            return _Companions(engine, refusal=unsupported_by(engine.flags, speculative))
        try:
            draft = await self._drafts.find(model, files, speculative)
            adapters = await self._adapters.find(files, wanted.values.lora)
        except (DraftModelUnusable, AdapterUnusable) as error:
            return _Companions(engine, refusal=error)
        return _Companions(engine, draft, adapters, unsupported_by(engine.flags, speculative))

    def _make_spec(self, model: Model, files: ModelFiles, plan: Plan, companions: _Companions) -> ReplicaSpec:
        spec = self._supply.make_spec(model, files, plan.report, plan.memory.needed_bytes)
        draft, adapters = companions.draft, companions.adapters
        more_bytes = (draft.file_bytes if draft else 0) + sum(one.file_bytes for one in adapters)
        return replace(
            spec,
            draft_path=draft.path if draft else None,
            adapters=adapters,
            file_bytes=spec.file_bytes + more_bytes,
        )

    def _times_with_download(self, plan: Plan) -> PlannedTimes:
        """The times of a model that is not on disk; its size may be unknown, and so is its context."""
        size_bytes = plan.model.file_size_bytes
        if not size_bytes or plan.disk is None:
            return PlannedTimes(None, None)
        left_bytes = min(size_bytes, plan.disk.needed_bytes)
        return PlannedTimes(self.times.download(left_bytes), self.times.load_of_size(size_bytes))


def _nothing_to_do(model: Model, facts: Facts, spec: ReplicaSpec, loaded: ReplicaSpec) -> Plan:
    """The plan for a model that is in memory as it is wanted; a context that is "auto" stays as it was loaded."""
    kept = facts.wanted.values.model_copy(update={"context_size": loaded.context_size})
    plan = make_plan(model, replace(facts, wanted=replace(facts.wanted, values=kept)))
    return replace(
        plan,
        action="none",
        report=replace(plan.report, wanted=facts.wanted, effective=loaded.options),
        refusal=None,
        unloads=(),
        drains=(),
        replaces_current=False,
        spec=replace(loaded, id=spec.id),
        times=PlannedTimes(NO_TIME, NO_TIME),
    )


def decide_options(model: Model, facts: Facts) -> EffectiveOptions:
    """The options that a replica gets; a context that is "auto" is the least one, which `fit` makes larger."""
    asked, files = facts.wanted.values, facts.files or expected_files(model)
    tokens = context_bounds(model, files)[0] if asked.context_size == "auto" else asked.context_size
    decided = {
        "context_size": files.limit(tokens) if files else tokens,
        "threads": asked.threads if isinstance(asked.threads, int) else None,
        "gpu_layers": 0 if asked.gpu_layers and not has_gpu(facts.devices) else asked.gpu_layers,
    }
    return EffectiveOptions(**{name: getattr(asked, name) for name in type(asked).model_fields} | decided)


def make_plan(
    model: Model, facts: Facts, *, may_replace_current: bool = False, is_strict: bool = False
) -> Plan:
    """The plan by the facts alone."""
    files = facts.files
    fitted = fit(model, facts, decide_options(model, facts), may_replace_current=may_replace_current)
    need, placement, room = fitted.need, fitted.placement, fitted.room
    report = load_options.report(facts.wanted, fitted.options, facts.devices)
    not_honored = report.not_honored()
    if fitted.note is not None:
        report = replace(report, reasons={**report.reasons, "context_size": fitted.note})
    notes = [note for note in (memory_basis(model, files), fitted.note) if note is not None]
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
            gpu_free_bytes=placement.gpu_free_bytes,
        ),
        disk=facts.disk,
        unloads=tuple(one.model_id for one in room.victims),
        drains=tuple(one.model_id for one in room.victims if one.is_busy),
        refusal=_refusal(facts, not_honored if is_strict else {}, room),
        warnings=(*notes, *not_honored.values()),
        files=files,
        replaces_current=room.replaces_current,
    )


def _refusal(facts: Facts, not_honored: Mapping[str, str], room: Room) -> FoundryLocalError | None:
    """Why nothing is loaded: the engine cannot run, an option cannot be honored, or memory or disk are short."""
    if not_honored and facts.engine_refusal is None:
        return load_options.OptionNotHonored(not_honored)
    return facts.engine_refusal or room.refusal or (facts.disk.refusal if facts.disk else None)
