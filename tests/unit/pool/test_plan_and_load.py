"""What the plan says is what a load does: the same numbers, the same models that leave, the same refusal."""

from __future__ import annotations

import anyio
import pytest

from foundrylocal.errors import InsufficientMemory
from foundrylocal.wire.load_options import LoadOptions
from tests.unit.pool.rig import MB, PoolRunner, Rig


def test_a_plan_changes_nothing_and_a_load_does_what_it_says(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 110 * MB
        await rig.load(rig.base, 60)
        await anyio.sleep(1)
        await rig.load(rig.third, 10)
        plan = await rig.pool.plan(rig.chat, LoadOptions())
        assert (plan.unloads, plan.drains, plan.action) == ((rig.base.model_id,), (), "load")
        assert rig.ready() == {rig.base.simple_name, rig.third.simple_name}
        async with rig.pool.lease(rig.chat) as replica:
            assert replica.spec.memory_bytes == plan.memory.needed_bytes
            assert replica.spec.options == plan.options
        assert rig.ready() == {rig.chat.simple_name, rig.third.simple_name}

    on_pool(scenario)


@pytest.mark.parametrize("way", ["start", "on demand"])
def test_the_reserve_holds_for_every_load_and_the_refusal_is_the_plans(on_pool: PoolRunner, way: str) -> None:
    async def scenario(rig: Rig) -> None:
        needed = (await rig.pool.plan(rig.chat, LoadOptions())).memory.needed_bytes
        rig.launcher.total_bytes = needed + 50 * MB - 1
        plan = await rig.pool.plan(rig.chat, LoadOptions())
        assert (plan.fits, plan.memory.free_bytes) == (False, needed - 1)
        with pytest.raises(InsufficientMemory) as refused:
            if way == "start":
                assert plan.spec is not None
                await rig.pool.load(rig.chat, plan.spec, 180)
            else:
                async with rig.pool.lease(rig.chat):
                    pass
        assert refused.value.details == str(plan.refusal and plan.refusal.details)
        assert [line for line in rig.launcher.history if line.startswith("launch")] == []
        rig.launcher.total_bytes += 1
        async with rig.pool.lease(rig.chat):
            assert rig.ready() == {rig.chat.simple_name}

    on_pool(scenario, memory_reserve_mb=50)


def test_a_replica_that_has_grown_past_its_estimate_still_makes_room(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        needed = (await rig.pool.plan(rig.chat, LoadOptions())).memory.needed_bytes
        rig.launcher.total_bytes = needed + 5 * MB
        await rig.load(rig.base, 20)
        rig.launcher.of(rig.base.model_id)[0].grown_bytes = needed
        rig.pool.set_current(rig.base)
        plan = await rig.pool.plan(rig.chat, LoadOptions(), may_replace_current=True)
        assert (plan.fits, plan.replaces_current) == (True, True)
        rig.pool.set_current(None)
        assert plan.spec is not None
        assert await rig.pool.fits_beside(rig.chat, plan.spec)
        async with rig.pool.lease(rig.chat):
            assert rig.ready() == {rig.chat.simple_name}

    on_pool(scenario)


def test_a_model_that_is_loaded_just_so_needs_nothing(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        async with rig.pool.lease(rig.chat):
            pass
        rig.launcher.total_bytes = 1
        plan = await rig.pool.plan(rig.chat, LoadOptions())
        assert (plan.action, plan.fits, plan.unloads) == ("none", True, ())
        other = await rig.pool.plan(rig.chat, LoadOptions(context_size=1024))
        assert (other.action, other.fits) == ("load", False)

    on_pool(scenario)
