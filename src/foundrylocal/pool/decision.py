"""What a load would take and do, decided by facts alone; pure. `pool/planner.py` gathers the facts.

Invariant: the same facts give the same plan, and what it says is what a load at the same moment does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from foundrylocal.catalog.registry import Model
from foundrylocal.catalog.shapes import expected_files
from foundrylocal.engine.devices import Device
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import FoundryLocalError
from foundrylocal.pool import options as load_options
from foundrylocal.pool.fitting import Fit, context_bounds, devices_of, fit, memory_basis
from foundrylocal.pool.measured_times import NO_TIME
from foundrylocal.pool.placement import has_gpu
from foundrylocal.pool.plan import Facts, MemoryPlan, Plan, PlannedTimes
from foundrylocal.wire.load_options import EffectiveOptions


def nothing_to_do(model: Model, facts: Facts, spec: ReplicaSpec, loaded: ReplicaSpec) -> Plan:
    """The plan for a model that is in memory as it is wanted; a context that is "auto" stays as it was loaded."""
    kept = facts.wanted.values.model_copy(update={"context_size": loaded.context_size})
    plan = make_plan(model, replace(facts, wanted=replace(facts.wanted, values=kept)))
    # By what was asked for: a longer context than the model has is not honored in silence.
    report = load_options.report(facts.wanted, loaded.options, _all_devices(facts))
    not_honored = report.not_honored().values()
    return replace(
        plan,
        action="none",
        report=report,
        warnings=(*plan.warnings, *(one for one in not_honored if one not in plan.warnings)),
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
        "gpu_layers": 0 if asked.gpu_layers and not has_gpu(_all_devices(facts)) else asked.gpu_layers,
    }
    return EffectiveOptions(**{name: getattr(asked, name) for name in type(asked).model_fields} | decided)


def _all_devices(facts: Facts) -> tuple[Device, ...]:
    """What the engine could compute on, in any room."""
    if not facts.rooms:
        return facts.devices
    return tuple(device for room in facts.rooms for device in devices_of(room, facts.devices))


def make_plan(
    model: Model, facts: Facts, *, may_replace_current: bool = False, is_strict: bool = False
) -> Plan:
    """The plan by the facts alone."""
    files = facts.files
    fitted = fit(model, facts, decide_options(model, facts), may_replace_current=may_replace_current)
    need, placement = fitted.need, fitted.placement
    report = load_options.report(facts.wanted, fitted.options, _all_devices(facts))
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
            free_bytes=max(0, fitted.room.free_bytes),
            reserve_bytes=facts.reserve_bytes,
            gpu_bytes=placement.gpu_bytes,
            gpu_free_bytes=placement.gpu_free_bytes,
        ),
        disk=facts.disk,
        unloads=tuple(one.model_id for one in fitted.leaving),
        drains=tuple(one.model_id for one in fitted.leaving if one.is_busy),
        refusal=_refusal(facts, not_honored if is_strict else {}, fitted),
        warnings=(*notes, *not_honored.values()),
        files=files,
        replaces_current=fitted.replaces_current,
        node=fitted.room.node,
    )


def _refusal(facts: Facts, not_honored: Mapping[str, str], fitted: Fit) -> FoundryLocalError | None:
    """Why nothing is loaded: the engine cannot run, an option cannot be honored, or memory or disk are short."""
    if not_honored and facts.refusal is None:
        return load_options.OptionNotHonored(not_honored)
    return facts.refusal or fitted.refusal or (facts.disk.refusal if facts.disk else None)
