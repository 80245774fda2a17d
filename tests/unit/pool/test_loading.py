"""Loading: on demand and by order, room for it, failures, and callers that share a load or leave."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from foundrylocal.errors import (
    InsufficientMemory,
    ModelLoading,
    ModelNotDownloaded,
    OperationCancelled,
    ServerStartFailed,
    ServerStartTimeout,
)
from foundrylocal.pool.roster import State
from foundrylocal.wire.load_options import LoadOptions
from tests.fakes.virtual_time import settle
from tests.unit.pool.rig import MB, PoolRunner, Rig


def test_callers_of_one_model_share_one_load(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        got: list[Any] = []
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(rig.hold, rig.chat, done, got)
            await anyio.sleep(5)
            assert len(set(got)) == 1
            assert got[0].in_flight == 20
            done.set()
        assert [line.split()[0] for line in rig.launcher.history] == ["launch"]
        assert got[0].in_flight == 0

    on_pool(scenario)


def test_a_caller_that_leaves_cancels_no_load_of_others(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        got: list[Any] = []
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(0.5):
                async with anyio.create_task_group() as leaving:
                    leaving.start_soon(rig.hold, rig.chat, done, [])
                    await settle()
                    group.start_soon(rig.hold, rig.chat, done, got)
            assert rig.ready() == set()
            await anyio.sleep(2)
            assert rig.ready() == {rig.chat.simple_name}
            assert got[0].in_flight == 1
            done.set()

    on_pool(scenario)


def test_two_models_load_at_the_same_time(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        done = anyio.Event()
        done.set()
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            for model in (rig.chat, rig.base, rig.third):
                group.start_soon(rig.hold, model, done, [])
        assert anyio.current_time() - began < 1.5
        assert len(rig.ready()) == 3

    on_pool(scenario)


def test_two_loads_are_not_promised_the_same_memory(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 60 * MB
        rig.launcher.behavior(rig.chat.model_id).load_s = rig.launcher.behavior(rig.base.model_id).load_s = 40
        got: list[Any] = []
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            for model in (rig.chat, rig.base):
                group.start_soon(rig.hold, model, done, got)
            await anyio.sleep(60)
            rig.check()
            assert len(got) == 1, "the other one waits for its turn"
            done.set()
        assert {one.model.model_id for one in got} == {rig.chat.model_id, rig.base.model_id}

    on_pool(scenario)


def test_the_least_recently_used_makes_room(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 100 * MB
        for model in (rig.chat, rig.base, rig.chat, rig.third):
            async with rig.pool.lease(model):
                await anyio.sleep(1)
        assert rig.ready() == {rig.chat.simple_name, rig.third.simple_name}

    on_pool(scenario)


def test_the_reserve_is_left_free_by_loads_on_demand(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 100 * MB
        with pytest.raises(InsufficientMemory):
            await rig.pool.ensure(rig.chat, None)

    on_pool(scenario, memory_reserve_mb=70)


def test_a_pinned_model_makes_no_room(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 60 * MB
        await rig.load(rig.chat)
        rig.pool.set_current(rig.chat)
        for _ in range(2):  # a refusal is no failure, so no pause follows it
            with pytest.raises(InsufficientMemory):
                await rig.pool.ensure(rig.base, None)
        assert not await rig.pool.fits_beside(rig.base, rig.spec(rig.base))
        rig.pool.set_current(None)
        assert await rig.pool.fits_beside(rig.base, rig.spec(rig.base))
        await rig.pool.ensure(rig.base, None)
        assert rig.ready() == {rig.base.simple_name}

    on_pool(scenario)


def test_a_load_on_demand_cuts_no_answer_short_and_says_who_is_busy(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 60 * MB
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            with pytest.raises(ModelLoading) as caught:
                await rig.pool.ensure(rig.base, None)
            assert rig.chat.simple_name in str(caught.value.details)
            assert replica.state is State.READY
            assert replica.in_flight == 1
            done.set()
        await rig.pool.ensure(rig.base, None)
        assert rig.ready() == {rig.base.simple_name}

    on_pool(scenario, drain_seconds=3)


def test_requests_wait_while_their_model_may_have_to_leave(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 60 * MB
        replica = await rig.load(rig.chat)
        first, second = anyio.Event(), anyio.Event()
        got: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, first, [])
            await settle()
            group.start_soon(rig.hold, rig.base, second, [])
            await anyio.sleep(1)
            assert replica.state is State.YIELDING
            group.start_soon(rig.hold, rig.chat, second, got)
            await anyio.sleep(1)
            assert got == []
            await anyio.sleep(2)  # its time is over: it stays
            assert got == [replica]
            first.set()
            second.set()
        assert replica.state is State.READY

    on_pool(scenario, drain_seconds=3)


def test_a_start_makes_room_at_the_end_of_the_drain_time(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 60 * MB
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            await rig.load(rig.base)
            assert anyio.current_time() >= 3
            assert replica.is_gone
            assert replica.lost_reason is None
            done.set()
        assert rig.ready() == {rig.base.simple_name}

    on_pool(scenario, drain_seconds=3)


def test_a_failed_load_leaves_nothing_and_is_not_tried_again_at_once(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.behavior(rig.chat.model_id).fails_with = "no such architecture"
        with pytest.raises(ServerStartFailed):
            await rig.pool.ensure(rig.chat, None)
        with pytest.raises(ModelLoading) as caught:
            await rig.pool.ensure(rig.chat, None)
        assert caught.value.details == "no such architecture."
        assert rig.launcher.running == {}
        rig.launcher.behavior(rig.chat.model_id).fails_with = None
        await rig.pool.ensure(rig.chat, LoadOptions(), is_insistent=True)
        await rig.pool.unload_all(0)
        with pytest.raises(ModelLoading):
            await rig.pool.ensure(rig.chat, None)
        await anyio.sleep(15)
        await rig.pool.ensure(rig.chat, None)

    on_pool(scenario)


def test_a_load_that_takes_too_long_leaves_nothing(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.behavior(rig.chat.model_id).load_s = 1000
        with pytest.raises(ServerStartTimeout):
            await rig.pool.load(rig.chat, rig.spec(rig.chat), 10)
        assert anyio.current_time() == pytest.approx(10)
        assert (rig.launcher.running, rig.pool.in_memory()) == ({}, [])

    on_pool(scenario)


@pytest.mark.parametrize("after_s", [0, 0.5])
def test_a_cancelled_load_leaves_nothing(on_pool: PoolRunner, after_s: float) -> None:
    async def scenario(rig: Rig) -> None:
        with anyio.move_on_after(after_s):
            await rig.load(rig.chat)
        assert (rig.launcher.running, rig.pool.in_memory()) == ({}, [])
        with rig.pool.block_loads(rig.chat):
            pass

    on_pool(scenario)


def test_a_worker_that_crashes_while_it_loads_fails_that_load_only(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        async with anyio.create_task_group() as group:
            caught: list[Any] = []
            group.start_soon(rig.hold, rig.chat, anyio.Event(), caught)
            await anyio.sleep(0.5)
            rig.launcher.crash(rig.chat.model_id, "It ran out of memory.")
        assert isinstance(caught[0], ServerStartFailed)
        assert caught[0].details == "It ran out of memory."
        assert rig.pool.in_memory() == []

    on_pool(scenario)


def test_a_new_load_of_a_model_replaces_the_one_before_it(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        first = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            second = await rig.load(rig.chat, parallel=8)
            assert (first.state, second.state) == (State.DRAINING, State.READY)
            assert rig.pool.get(rig.chat) is second
            done.set()
        await anyio.sleep(1)
        assert first.is_gone
        assert rig.running() == [rig.chat.simple_name]

    on_pool(scenario)


def test_a_failed_second_load_of_a_model_leaves_the_first_one_serving(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        first = await rig.load(rig.chat)
        rig.launcher.behavior(rig.chat.model_id).fails_with = "no"
        with pytest.raises(ServerStartFailed):
            await rig.load(rig.chat, parallel=8)
        assert rig.pool.get(rig.chat) is first
        assert first.state is State.READY

    on_pool(scenario)


def test_a_request_waits_for_the_load_of_a_start(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        got: list[Any] = []
        done = anyio.Event()
        done.set()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.load, rig.chat)
            await anyio.sleep(0.5)
            group.start_soon(rig.hold, rig.chat, done, got)
        assert len(rig.launcher.history) == 1
        assert got == [rig.pool.get(rig.chat)]

    on_pool(scenario)


def test_a_request_loads_the_model_itself_when_the_start_it_waits_for_fails(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        got: list[Any] = []
        done = anyio.Event()
        done.set()
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(0.5):
                group.start_soon(rig.hold, rig.chat, done, got)
                await rig.load(rig.chat)
        assert got == [rig.pool.get(rig.chat)]

    on_pool(scenario)


def test_an_unload_of_everything_cancels_loads_on_demand(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        got: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, anyio.Event(), got)
            await anyio.sleep(0.5)
            await rig.pool.unload_all(0)
        assert isinstance(got[0], OperationCancelled)
        assert rig.launcher.running == {}
        await rig.pool.ensure(rig.chat, None)

    on_pool(scenario)


def test_a_model_that_is_not_on_disk_is_said_to_be_so_each_time(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        absent = rig.registry.find("Qwen2.5-0.5B-Instruct-Q8_0-GGUF")
        for _ in range(2):
            with pytest.raises(ModelNotDownloaded):
                await rig.pool.ensure(absent, None)

    on_pool(scenario)


def test_whoever_waits_for_an_arrival_hears_of_it(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(rig.load, rig.chat)
            await rig.pool.arrival()
            assert rig.ready() == {rig.chat.simple_name}

    on_pool(scenario)
