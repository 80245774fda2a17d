"""`context_size: "auto"` in a plan and in a load: as large as fits, and never at the cost of another model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.errors import InsufficientMemory
from foundrylocal.pool.planner import AUTO_MARGIN_BYTES
from foundrylocal.wire.load_options import LoadOptions
from tests.running import BASE_MODEL, CHAT_MODEL, store_tiny_model
from tests.unit.pool.rig import THIRD_MODEL, PoolRunner, Rig
from tests.unit.pool.test_planner import GB, GPU, files_of, in_memory, plan_of

LONG = 131_072


def tokens_of(free_bytes: int, *candidates: Any, context_length: int = LONG, **options: Any) -> int:
    plan = plan_of(files_of(context_length=context_length), free_bytes, *candidates, **options)
    return plan.options.context_size


def needed(tokens: int) -> int:
    return plan_of(files_of(context_length=LONG), 0, context_size=tokens).memory.needed_bytes


def test_with_memory_enough_it_is_the_models_own_up_to_the_limit() -> None:
    assert tokens_of(20 * GB) == 32_768
    assert tokens_of(20 * GB, context_length=16_384) == 16_384
    assert tokens_of(20 * GB, context_length=2_048) == 2_048


def test_with_less_memory_it_is_what_fits_beside_the_reserve_and_a_margin() -> None:
    assert tokens_of(needed(10_240) + AUTO_MARGIN_BYTES) == 10_240
    assert tokens_of(needed(10_240) + AUTO_MARGIN_BYTES - 1) == 9_216


def test_the_plan_says_that_there_would_be_more() -> None:
    files = files_of(context_length=LONG)
    cut = plan_of(files, needed(8_192) + AUTO_MARGIN_BYTES)
    assert cut.warnings == (
        "context_size auto is 8192 tokens instead of 32768: there is not enough memory for more.",
    )
    assert cut.report.sources["context_size"] == "auto"
    assert cut.report.reasons["context_size"] == cut.warnings[0]
    assert plan_of(files, 20 * GB).warnings == ()


def test_it_is_never_below_the_least_and_that_one_needs_no_margin() -> None:
    assert tokens_of(needed(4_096)) == 4_096
    plan = plan_of(files_of(context_length=LONG), needed(4_096) - 1)
    assert (plan.options.context_size, plan.fits) == (4_096, False)
    assert "Needed" in str(plan.refusal and plan.refusal.details)


def test_a_context_that_was_asked_for_is_refused_and_not_made_smaller() -> None:
    plan = plan_of(files_of(context_length=LONG), needed(8_192), context_size=16_384)
    assert (plan.options.context_size, plan.fits) == (16_384, False)


def test_nobody_leaves_for_more_than_the_least() -> None:
    other = in_memory("other", 4 * GB)
    plan = plan_of(files_of(context_length=LONG), needed(6_144) + AUTO_MARGIN_BYTES, other)
    assert (plan.options.context_size, plan.unloads) == (6_144, ())


def test_what_those_who_leave_anyway_leave_free_is_used() -> None:
    other = in_memory("other", 4 * GB)
    plan = plan_of(files_of(context_length=LONG), needed(4_096) - 1, other)
    assert (plan.options.context_size, plan.unloads) == (32_768, ("other",))


def test_a_switch_uses_what_the_pinned_model_leaves_only_when_both_do_not_fit() -> None:
    own = in_memory("own", 4 * GB, is_current=True)
    files = files_of(context_length=LONG)
    beside = plan_of(files, needed(6_144) + AUTO_MARGIN_BYTES, own, may_replace_current=True)
    assert (beside.options.context_size, beside.replaces_current) == (6_144, False)
    instead = plan_of(files, needed(4_096) - 1, own, may_replace_current=True)
    assert (instead.options.context_size, instead.replaces_current) == (32_768, True)


def test_an_embedding_model_gets_less_since_its_batch_is_as_large_as_its_context() -> None:
    assert tokens_of(20 * GB) == 32_768
    plan = plan_of(files_of(context_length=LONG, is_embedding=True), 20 * GB)
    assert plan.options.context_size == 8_192
    assert plan.warnings == ()


def test_no_layer_leaves_the_gpu_for_a_larger_context() -> None:
    files = files_of(context_length=LONG)
    small = replace(
        GPU, free_bytes=plan_of(files, 20 * GB, devices=(GPU,), context_size=8_192).memory.gpu_bytes
    )
    plan = plan_of(files, 20 * GB, devices=(small,))
    least = plan_of(files, 20 * GB, devices=(small,), context_size=4_096)
    assert 4_096 < plan.options.context_size <= 8_192
    for one in (plan, least):  # no layer is on the machine
        assert one.memory.needed_bytes == one.memory.compute_bytes


def test_before_the_download_the_catalog_says_how_long_the_context_may_be() -> None:
    assert plan_of(None, 20 * GB).options.context_size == 4_096  # of a model with as many


@given(free=st.integers(0, 4 * GB), other=st.integers(1, 4 * GB), context=st.integers(256, LONG))
def test_a_plan_with_auto_fits_and_unloads_whom_the_least_context_unloads(
    free: int, other: int, context: int
) -> None:
    files, loaded = files_of(context_length=context), in_memory("other", other)
    plan = plan_of(files, free, loaded)
    least = plan_of(files, free, loaded, context_size=max(256, min(4_096, context)))
    assert (plan.fits, plan.unloads) == (least.fits, least.unloads)
    if plan.fits:
        assert plan.memory.needed_bytes <= free + other * len(plan.unloads)
        assert min(4_096, context) <= plan.options.context_size <= min(32_768, context)


# --- in the pool ------------------------------------------------------------------------------------------


@pytest.fixture
def on_long_models(tmp_path: Path) -> PoolRunner:
    """A pool with models of a long context."""
    for name in (CHAT_MODEL, BASE_MODEL, THIRD_MODEL):
        store_tiny_model(tmp_path / "home", name, context_length=LONG)
    state = tmp_path / "state"
    state.mkdir()
    return PoolRunner(tmp_path / "home", state)


async def needs(rig: Rig, tokens: int) -> int:
    return (await rig.pool.plan(rig.chat, LoadOptions(context_size=tokens))).memory.needed_bytes


def test_two_loads_at_once_share_what_is_free_and_none_unloads_the_other(on_long_models: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        full = await needs(rig, 32_768)
        plans = [await rig.pool.plan(model, LoadOptions()) for model in (rig.chat, rig.base)]
        assert [plan.options.context_size for plan in plans] == [32_768, 32_768]
        rig.launcher.total_bytes = full + await needs(rig, 8_192)
        async with anyio.create_task_group() as group:
            for plan in plans:
                group.start_soon(rig.pool.load, plan.model, plan.spec)
        assert rig.ready() == {rig.chat.simple_name, rig.base.simple_name}
        assert sorted(one.spec.context_size for one in rig.pool.replicas()) == [8_192, 32_768]
        assert [line for line in rig.launcher.history if not line.startswith("launch")] == []

    on_long_models(scenario)


def test_a_model_in_memory_keeps_its_context_when_more_becomes_free(on_long_models: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = await needs(rig, 8_192) + AUTO_MARGIN_BYTES
        async with rig.pool.lease(rig.chat) as replica:
            assert replica.spec.context_size == 8_192
        rig.launcher.total_bytes *= 10
        plan = await rig.pool.plan(rig.chat, LoadOptions())
        assert (plan.action, plan.options.context_size) == ("none", 8_192)
        assert plan.memory.needed_bytes == replica.spec.memory_bytes
        longer = await rig.pool.plan(rig.chat, LoadOptions(context_size=16_384))
        assert (longer.action, longer.options.context_size) == ("load", 16_384)

    on_long_models(scenario)


def test_a_model_in_memory_with_less_context_than_is_asked_for_says_so(on_long_models: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        asked = LoadOptions(context_size=4_000_000)
        plan = await rig.pool.plan(rig.chat, asked)
        rig.launcher.total_bytes = plan.memory.needed_bytes * 4
        async with rig.pool.lease(rig.chat, asked):
            pass
        again = await rig.pool.plan(rig.chat, asked)
        assert (again.action, again.options.context_size) == ("none", plan.options.context_size)
        assert again.report.sources["context_size"] == "model"
        assert again.warnings == plan.warnings
        assert "instead of 4000000: the model has no more" in again.warnings[-1]

    on_long_models(scenario)


def test_a_load_that_finds_less_than_was_planned_takes_what_there_is(on_long_models: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        plan = await rig.pool.plan(rig.chat, LoadOptions())
        assert plan.spec is not None
        assert plan.spec.context_size == 32_768
        rig.launcher.total_bytes = await needs(rig, 5_120)
        replica = await rig.pool.load(rig.chat, plan.spec)
        assert replica.spec.context_size == 5_120
        assert replica.spec.id == plan.spec.id
        assert replica.spec.report is not None
        assert "instead of 32768" in replica.spec.report.reasons["context_size"]
        await rig.pool.unload_all(0)
        rig.launcher.total_bytes = await needs(rig, 4_096) - 1
        with pytest.raises(InsufficientMemory):
            await rig.pool.load(rig.chat, replace(plan.spec, id="again"))

    on_long_models(scenario)
