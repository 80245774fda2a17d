"""The answer to "does it fit, where, who leaves, at what cost": start, switch, load, details and search ask here.

It gathers the facts that `make_plan` (pool/decision.py) decides by. Invariant: a plan changes nothing, and what it
says is what a load at the same moment would do: both leave the same reserve and choose victims by the same rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from foundrylocal.catalog.presets import PresetStore
from foundrylocal.catalog.registry import Model
from foundrylocal.engine.devices import Device
from foundrylocal.engine.engine import BUILT_IN, EngineReport, EngineState
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import LoadedAdapter, ReplicaSpec, Room
from foundrylocal.errors import (
    ClusterUnreachable,
    EngineUnavailable,
    FoundryLocalError,
    ModelCorrupted,
    UnknownEngine,
)
from foundrylocal.pool import options as load_options
from foundrylocal.pool.adapters import AdapterNotStartable, Adapters, AdapterUnusable
from foundrylocal.pool.decision import make_plan, nothing_to_do
from foundrylocal.pool.drafts import Draft, DraftModelUnusable, Drafts, unsupported_by
from foundrylocal.pool.eviction import Candidate
from foundrylocal.pool.fitting import rooms_of_engine
from foundrylocal.pool.measured_times import NO_TIME, MeasuredTimes
from foundrylocal.pool.plan import Facts, Plan, PlannedTimes
from foundrylocal.pool.supply import ModelFiles, Supply
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import LoadOptions
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
        """What a load may take now with nobody leaving, in the roomiest room; below 0 in a shortage.

        Nothing while the cluster cannot be reached.
        """
        try:
            rooms = await self._launcher.rooms(reserve_bytes=self.reserve_bytes)
        except ClusterUnreachable:
            return 0
        return max((room.free_bytes for room in rooms if not room.is_suspect), default=0)

    async def rooms(
        self, candidates: Callable[[], Iterable[Candidate]], spec: ReplicaSpec | None = None
    ) -> tuple[tuple[Room, ...], tuple[Candidate, ...]]:
        """The rooms now, and the candidates of the same moment with the memory that they really give back.

        That is their estimate, or what their workers have grown to: context checkpoints and cached prompts are not
        estimated. With `spec`, the rooms say which of them have its files. Raises ClusterUnreachable.
        """
        taken = {one.id: one.memory_bytes for one in await self._launcher.list()}
        rooms = await self._launcher.rooms(spec, self.reserve_bytes)
        measured = (
            replace(one, memory_bytes=max(one.memory_bytes, taken.get(one.id, 0))) for one in candidates()
        )
        return tuple(rooms), tuple(measured)

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
        facts, companions = await self._gather(model, files, wanted, candidates)
        facts = replace(facts, disk=disk, margin_bytes=AUTO_MARGIN_BYTES)
        decide = partial(make_plan, model, may_replace_current=may_replace_current, is_strict=is_strict)
        plan = decide(facts)
        if files is None:
            return replace(plan, times=self._times_with_download(plan))
        spec = self._make_spec(model, files, plan, companions)
        if len(facts.rooms) > 1:
            # Only now can they say which of them have the files; if they cannot, the first answer holds.
            with suppress(ClusterUnreachable):
                rooms, those = await self.rooms(candidates, spec)
                rooms = rooms_of_engine(rooms, wanted.values.engine, facts.devices)
                plan = decide(replace(facts, rooms=rooms, candidates=those))
                spec = replace(self._make_spec(model, files, plan, companions), id=spec.id)
        if loaded is not None and spec.is_like(loaded):
            none = nothing_to_do(model, facts, spec, loaded)
            is_refused = isinstance(plan.refusal, load_options.OptionNotHonored)
            return replace(none, refusal=plan.refusal) if is_refused else none
        return replace(plan, spec=spec, times=PlannedTimes(NO_TIME, self.times.load(spec)))

    async def plan_damaged(self, model: Model, options: LoadOptions, error: ModelCorrupted) -> Plan:
        """The plan for a model whose files cannot be read, by what the catalog knows of it."""
        facts = Facts(
            files=None,
            disk=None,
            wanted=self.want(model, options),
            rooms=(Room("", await self.free_bytes()),),
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
        facts, companions = await self._gather(model, files, spec.report.wanted, candidates)
        plan = make_plan(model, facts)
        if plan.memory.needed_bytes >= spec.memory_bytes:
            return spec
        return replace(self._make_spec(model, files, plan, companions), id=spec.id)

    async def reported(self, model: Model, spec: ReplicaSpec, options: LoadOptions) -> ReplicaSpec:
        """The specification with a report of these options beside what it runs with, unless it has one."""
        if spec.report is not None:
            return spec
        wanted = self.want(model, options)
        return replace(spec, report=load_options.report(wanted, spec.options, await self.devices()))

    def spec_of_another(self, spec: ReplicaSpec) -> ReplicaSpec:
        """The same for one more replica, with an id of its own."""
        return replace(spec, id=self._supply.next_id(spec.model_id))

    async def _gather(
        self,
        model: Model,
        files: ModelFiles | None,
        wanted: WantedOptions,
        candidates: Callable[[], Iterable[Candidate]],
    ) -> tuple[Facts, _Companions]:
        """The facts of now; a cluster that cannot be reached is a refusal, since nothing can be loaded anywhere."""
        companions = await self._find_companions(model, files, wanted)
        rooms: tuple[Room, ...] = ()
        those: tuple[Candidate, ...] = ()
        refusal = companions.refusal
        try:
            rooms, those = await self.rooms(candidates)
        except ClusterUnreachable as error:
            refusal = refusal or error
        facts = Facts(
            files=files,
            disk=None,
            wanted=wanted,
            rooms=rooms_of_engine(rooms, wanted.values.engine, companions.engine.devices),
            reserve_bytes=self.reserve_bytes,
            devices=companions.engine.devices,
            candidates=those,
            draft=companions.draft,
            adapter_bytes=companions.adapter_bytes,
            refusal=refusal,
        )
        return facts, companions

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
            gpu_bytes=plan.memory.gpu_bytes,
        )

    def _times_with_download(self, plan: Plan) -> PlannedTimes:
        """The times of a model that is not on disk; its size may be unknown, and so is its context."""
        size_bytes = plan.model.file_size_bytes
        if not size_bytes or plan.disk is None:
            return PlannedTimes(None, None)
        left_bytes = min(size_bytes, plan.disk.needed_bytes)
        return PlannedTimes(self.times.download(left_bytes), self.times.load_of_size(size_bytes))
