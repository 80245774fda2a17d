"""A plan by made-up facts: what fits, who leaves, what is refused and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundrylocal.catalog.gguf.header import GgufHeader
from foundrylocal.catalog.manifest import Stored, StoredFile
from foundrylocal.catalog.registry import HubSource, Model, SourceFile
from foundrylocal.downloads.space import DiskNeed
from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.engine.replica import Room
from foundrylocal.errors import InsufficientDiskSpace, InsufficientMemory
from foundrylocal.pool.decision import make_plan
from foundrylocal.pool.eviction import Candidate
from foundrylocal.pool.options import want
from foundrylocal.pool.plan import Facts, Plan
from foundrylocal.pool.planner import AUTO_MARGIN_BYTES
from foundrylocal.pool.supply import ModelFiles
from foundrylocal.settings.schema import Settings
from foundrylocal.wire.load_options import LoadOptions
from foundrylocal.wire.presets import Preset

MB = 1024 * 1024
GB = 1024 * MB
DISK = DiskNeed(600 * MB, GB)
GPU = Device("A GPU", DeviceKind.GPU, 8 * GB, 6 * GB)


def a_model(size_bytes: int | None = 600 * MB) -> Model:
    source = HubSource("a/m", "main", (SourceFile("m.gguf", size_bytes, None),))
    return Model("a/m", "m", None, None, None, None, 4096, (), (source,))


def files_of(size_bytes: int = 600 * MB, **facts: Any) -> ModelFiles:
    header = GgufHeader(
        version=3,
        architecture="llama",
        context_length=4096,
        block_count=24,
        embedding_length=896,
        head_count=14,
        head_count_kv=2,
        key_length=64,
        value_length=64,
        has_chat_template=True,
        file_bytes=size_bytes,
    )
    stored = Stored("a/m", Path("/models"), 0.0, (StoredFile("m.gguf", size_bytes, 0, "0" * 64),))
    return ModelFiles(stored, replace(header, **facts))


def plan_of(
    files: ModelFiles | None,
    free_bytes: int,
    *candidates: Candidate,
    devices: tuple[Device, ...] = (),
    may_replace_current: bool = False,
    size_bytes: int | None = 600 * MB,
    disk: DiskNeed = DISK,
    **options: Any,
) -> Plan:
    asked = LoadOptions(**options)
    facts = Facts(
        files=files,
        disk=None if files else disk,
        wanted=want(asked, Preset.model_validate({}), Settings()),
        rooms=(Room("", free_bytes),),
        reserve_bytes=512 * MB,
        margin_bytes=AUTO_MARGIN_BYTES,
        devices=devices,
        candidates=candidates,
    )
    return make_plan(a_model(size_bytes), facts, may_replace_current=may_replace_current)


def in_memory(name: str, size_bytes: int, **facts: Any) -> Candidate:
    return Candidate(f"{name}#1", name, size_bytes, **facts)


def test_what_is_free_is_enough_to_the_byte() -> None:
    needed = plan_of(files_of(), 0).memory.needed_bytes
    assert plan_of(files_of(), needed).fits
    assert not plan_of(files_of(), needed - 1).fits


def test_the_parts_of_the_memory_add_up() -> None:
    memory = plan_of(files_of(), 9 * GB).memory
    assert memory.needed_bytes == memory.weights_bytes + memory.kv_cache_bytes + memory.compute_bytes
    assert (memory.free_bytes, memory.reserve_bytes, memory.gpu_bytes) == (9 * GB, 512 * MB, 0)


def test_a_refusal_says_needed_and_free() -> None:
    plan = plan_of(files_of(), 100 * MB)
    assert isinstance(plan.refusal, InsufficientMemory)
    assert "free: 100.0 MB" in str(plan.refusal.details)
    with pytest.raises(InsufficientMemory):
        plan.raise_if_refused()


def test_a_shortage_is_told_as_nothing_free() -> None:
    plan = plan_of(files_of(), -5 * GB)
    assert plan.memory.free_bytes == 0
    assert "free: 0.0 B" in str(plan.refusal and plan.refusal.details)


def test_a_model_that_is_not_downloaded_is_judged_by_its_size_and_says_so() -> None:
    fitting, too_large = plan_of(None, 700 * MB), plan_of(None, 610 * MB)
    assert (fitting.action, fitting.fits, fitting.disk) == ("download_and_load", True, DiskNeed(600 * MB, GB))
    assert not too_large.fits
    assert "lower bound" in fitting.warnings[0]


def test_a_model_whose_dimensions_are_known_is_planned_before_its_download_as_after_it() -> None:
    wanted = want(LoadOptions(), Preset.model_validate({}), Settings())
    facts = Facts(None, DISK, wanted, (Room("", 3 * GB),), 512 * MB)
    model = replace(a_model(), shape="Qwen2.5-0.5B", context_length=32_768)
    plan = make_plan(model, facts)
    assert (plan.action, plan.fits, plan.options.context_size) == ("download_and_load", True, 32_768)
    assert plan.memory.kv_cache_bytes == 32_768 * 24 * 2 * 64 * 2 * 2
    assert "calculated from its dimensions" in plan.warnings[0]
    cut = make_plan(model, replace(facts, rooms=(Room("", plan.memory.needed_bytes - 100 * MB),)))
    assert 4096 <= cut.options.context_size < 32_768 and cut.fits
    assert not make_plan(model, replace(facts, rooms=(Room("", 700 * MB),))).fits  # its file alone would fit


def test_a_disk_that_is_too_small_is_a_refusal_before_anything_is_downloaded() -> None:
    short = InsufficientDiskSpace("600.0 MB", "1.0 MB", "/models")
    plan = plan_of(None, 9 * GB, disk=DiskNeed(600 * MB, MB, short))
    assert plan.refusal is short
    assert plan_of(None, 0, disk=DiskNeed(600 * MB, MB, short)).refusal is not short  # the memory comes first


def test_a_model_of_unknown_size_is_never_refused_before_its_download() -> None:
    assert plan_of(None, 0, size_bytes=None).fits


def test_the_context_is_cut_to_the_models_and_only_a_wish_for_more_is_warned_of() -> None:
    assert plan_of(files_of(), 9 * GB).options.context_size == 4096
    assert plan_of(files_of(), 9 * GB).warnings == ()
    asked = plan_of(files_of(), 9 * GB, context_size=5000)
    assert asked.options.context_size == 4096
    assert "4096 instead of 5000" in asked.warnings[0]


def test_others_leave_and_those_that_are_busy_are_drained() -> None:
    idle, busy = in_memory("idle", 300 * MB), in_memory("busy", 600 * MB, is_busy=True)
    plan = plan_of(files_of(), 0, busy, idle)
    assert (plan.unloads, plan.drains) == (("idle", "busy"), ("busy",))
    assert plan.fits
    assert not plan.fits_now


def test_a_pinned_model_stays_but_for_a_switch() -> None:
    pinned = in_memory("own", 2 * GB, is_current=True)
    assert not plan_of(files_of(), 0, pinned).fits
    switch = plan_of(files_of(), 0, pinned, may_replace_current=True)
    assert (switch.fits, switch.replaces_current, switch.unloads) == (True, True, ("own",))


def test_a_switch_leaves_the_pinned_model_when_both_fit_or_another_can_leave() -> None:
    pinned, other = in_memory("own", 2 * GB, is_current=True), in_memory("other", 2 * GB)
    beside = plan_of(files_of(), 9 * GB, pinned, may_replace_current=True)
    assert (beside.replaces_current, beside.unloads) == (False, ())
    instead = plan_of(files_of(), 0, pinned, other, may_replace_current=True)
    assert (instead.replaces_current, instead.unloads) == (False, ("other",))


def test_a_switch_that_cannot_fit_even_alone_is_refused_with_what_is_free_now() -> None:
    plan = plan_of(files_of(9 * GB), 10 * MB, in_memory("own", GB, is_current=True), may_replace_current=True)
    assert plan.unloads == ()
    assert "free: 10.0 MB" in str(plan.refusal and plan.refusal.details)


def test_layers_on_a_gpu_take_its_memory() -> None:
    on_cpu = plan_of(files_of(), 9 * GB, devices=(GPU,), gpu_layers=0)
    on_gpu = plan_of(files_of(), 9 * GB, devices=(GPU,))
    half = plan_of(files_of(), 9 * GB, devices=(GPU,), gpu_layers=12)
    assert on_cpu.memory.gpu_bytes == 0
    assert on_gpu.memory.needed_bytes == on_gpu.memory.compute_bytes
    assert on_cpu.memory.needed_bytes > half.memory.needed_bytes > on_gpu.memory.needed_bytes
    assert on_gpu.memory.gpu_bytes > half.memory.gpu_bytes > 0


def test_as_many_layers_as_fit_go_to_a_small_gpu_and_more_are_refused() -> None:
    small = replace(GPU, free_bytes=400 * MB)
    automatic = plan_of(files_of(), 9 * GB, devices=(small,))
    assert automatic.fits
    assert 0 < automatic.memory.gpu_bytes <= 400 * MB
    asked = plan_of(files_of(), 9 * GB, devices=(small,), gpu_layers=99)
    assert "on the GPU" in str(asked.refusal and asked.refusal.details)


def test_a_device_that_shares_the_memory_is_the_machine() -> None:
    shared = Device("An iGPU", DeviceKind.INTEGRATED, 16 * GB, 16 * GB)
    plan = plan_of(files_of(), 9 * GB, devices=(shared,), gpu_layers=99)
    assert plan.memory == plan_of(files_of(), 9 * GB).memory
    assert plan.warnings == ()


def test_layers_for_a_gpu_that_is_not_there_are_warned_of() -> None:
    cpu = Device("A CPU", DeviceKind.CPU, 16 * GB, 16 * GB)
    plan = plan_of(files_of(), 9 * GB, devices=(cpu,), gpu_layers=10)
    assert plan.memory == plan_of(files_of(), 9 * GB).memory
    assert "no GPU" in plan.warnings[0]


@settings(deadline=None)
@given(
    free=st.integers(-2 * GB, 20 * GB),
    size=st.integers(1, 8 * GB),
    gpu_free=st.none() | st.integers(0, 12 * GB),
    layers=st.none() | st.integers(0, 99),
    others=st.lists(st.tuples(st.integers(1, 4 * GB), st.booleans(), st.booleans()), max_size=5),
    is_switch=st.booleans(),
)
def test_what_leaves_is_enough_and_never_in_vain(
    free: int,
    size: int,
    gpu_free: int | None,
    layers: int | None,
    others: list[tuple[int, bool, bool]],
    is_switch: bool,
) -> None:
    candidates = [
        in_memory(f"m{number}", taken, is_busy=busy, is_current=pinned and number == 0)
        for number, (taken, busy, pinned) in enumerate(others)
    ]
    devices = () if gpu_free is None else (replace(GPU, free_bytes=gpu_free),)
    plan = plan_of(
        files_of(size), free, *candidates, devices=devices, may_replace_current=is_switch, gpu_layers=layers
    )
    leaving = [one for one in candidates if one.model_id in plan.unloads]
    if not plan.fits:
        assert leaving == []
        return
    assert free + sum(one.memory_bytes for one in leaving) >= plan.memory.needed_bytes
    assert is_switch or not any(one.is_current for one in leaving)
    assert plan.replaces_current == any(one.is_current for one in leaving)
    assert plan.memory.gpu_bytes <= (gpu_free or 0)
    if free >= plan.memory.needed_bytes:
        assert leaving == []
