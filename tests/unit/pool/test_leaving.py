"""Leaving: drained, retired, called back, idle; and what a crash does in each state."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from foundrylocal.errors import ModelInUse
from foundrylocal.pool.losses import ReplicaLost
from foundrylocal.pool.roster import State
from tests.fakes.virtual_time import settle
from tests.unit.pool.rig import MB, PoolRunner, Rig


def test_an_unload_waits_for_requests_and_takes_no_new_ones(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        done, after = anyio.Event(), anyio.Event()
        got: list[Any] = []
        after.set()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            group.start_soon(rig.pool.unload, replica, 30)
            await settle()
            assert replica.state is State.DRAINING
            group.start_soon(rig.hold, rig.chat, after, got)
            await anyio.sleep(2)
            assert got[0] is not replica
            assert replica.in_flight == 1
            done.set()
        assert replica.is_gone
        assert replica.lost_reason is None
        assert rig.running() == [rig.chat.simple_name]

    on_pool(scenario)


def test_an_unload_ends_requests_whose_time_is_up(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            began = anyio.current_time()
            await rig.pool.unload(replica, 5)
            assert 5 <= anyio.current_time() - began < 6
            assert replica.is_gone
            done.set()
        assert replica.in_flight == 0

    on_pool(scenario)


def test_a_cancelled_unload_still_ends_the_worker(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            with anyio.move_on_after(1):
                await rig.pool.unload(replica, 30)
            assert replica.is_gone
            assert rig.launcher.running == {}
            done.set()

    on_pool(scenario)


def test_two_unloads_of_one_replica_both_end(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        async with anyio.create_task_group() as group:
            group.start_soon(rig.pool.unload, replica, 0)
            group.start_soon(rig.pool.unload, replica, 0)
        await rig.pool.unload(replica, 0)
        assert replica.is_gone

    on_pool(scenario)


def test_one_that_retires_is_called_back_while_it_still_answers(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            rig.pool.retire(replica)
            assert replica.state is State.DRAINING
            assert rig.pool.recall(rig.spec(rig.chat, parallel=8)) is None, "loaded otherwise"
            assert rig.pool.recall(rig.spec(rig.base)) is None, "another model"
            assert rig.pool.recall(rig.spec(rig.chat)) is replica
            assert replica.state is State.READY
            done.set()
        await anyio.sleep(10)
        assert replica.state is State.READY, "it was called back for good"

    on_pool(scenario)


def test_one_that_was_called_back_and_retires_again_leaves_once(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            for _ in range(3):
                rig.pool.retire(replica)
                await settle()
                assert rig.pool.recall(rig.spec(rig.chat)) is replica
            rig.pool.retire(replica)
            rig.pool.recall(rig.spec(rig.chat))
            rig.pool.retire(replica)
            done.set()
        await anyio.sleep(1)
        assert replica.is_gone

    on_pool(scenario)


def test_one_with_no_request_left_is_not_called_back(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        rig.pool.retire(replica)
        assert rig.pool.recall(rig.spec(rig.chat)) is None
        await anyio.sleep(1)
        assert replica.is_gone

    on_pool(scenario)


def test_one_that_is_unloaded_is_not_called_back(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            rig.pool.retire(replica)
            group.start_soon(rig.pool.unload, replica, 5)
            await settle()
            assert rig.pool.recall(rig.spec(rig.chat)) is None
            done.set()

    on_pool(scenario)


def test_one_that_is_called_back_replaces_the_one_that_came_after_it(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        first = await rig.load(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            second = await rig.load(rig.chat, parallel=8)
            assert rig.pool.recall(rig.spec(rig.chat)) is first
            rig.check()
            await anyio.sleep(1)
            assert (first.state, second.is_gone) == (State.READY, True)
            done.set()

    on_pool(scenario)


def test_an_idle_model_leaves_and_a_pinned_or_busy_one_stays(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        for model in (rig.chat, rig.base, rig.third):
            await rig.load(model)
        rig.pool.set_current(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.base, done, [])
            await anyio.sleep(50)
            assert len(rig.ready()) == 3
            await anyio.sleep(20)
            assert rig.ready() == {rig.chat.simple_name, rig.base.simple_name}
            done.set()
        await anyio.sleep(50)
        assert rig.base.simple_name in rig.ready(), "it counts from the end of its last request"
        await anyio.sleep(20)
        assert rig.ready() == {rig.chat.simple_name}

    on_pool(scenario, idle_unload_seconds=60)


def test_zero_idle_seconds_are_never(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        await anyio.sleep(80_000)
        assert rig.ready() == {rig.chat.simple_name}

    on_pool(scenario, idle_unload_seconds=0)


def test_a_model_that_was_replaced_while_it_was_to_make_room_leaves(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 100 * MB
        old = await rig.load(rig.chat)
        rig.launcher.behavior(rig.chat.model_id).load_s = 3
        done = anyio.Event()
        got: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            group.start_soon(lambda: rig.load(rig.chat, parallel=8))  # type: ignore[arg-type,return-value]
            await anyio.sleep(0.5)
            group.start_soon(rig.hold, rig.base, done, got)
            await anyio.sleep(1)
            assert old.state is State.YIELDING
            await anyio.sleep(5)
            assert old.state is State.DRAINING, "another one took its place"
            done.set()
        await anyio.sleep(1)
        assert old.is_gone

    on_pool(scenario, drain_seconds=5)


def test_an_unload_of_everything_while_a_replica_may_have_to_leave(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 60 * MB
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        got: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, [])
            await settle()
            group.start_soon(rig.hold, rig.base, done, got)
            await anyio.sleep(1)
            assert replica.state is State.YIELDING
            await rig.pool.unload_all(0)
            assert replica.is_gone
            assert rig.launcher.running == {}
            done.set()

    on_pool(scenario)


@pytest.mark.parametrize("state", [State.READY, State.YIELDING, State.DRAINING])
def test_a_crash_is_a_loss_unless_the_replica_was_leaving_anyway(on_pool: PoolRunner, state: State) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 60 * MB
        replica = await rig.load(rig.chat)
        done = anyio.Event()
        heard: list[ReplicaLost] = []
        with rig.pool.losses() as losses:
            async with anyio.create_task_group() as group:
                group.start_soon(rig.hold, rig.chat, done, [])
                await settle()
                if state is State.YIELDING:
                    group.start_soon(rig.hold, rig.base, done, [])
                    await anyio.sleep(1)
                elif state is State.DRAINING:
                    rig.pool.retire(replica)
                assert replica.state is state
                rig.launcher.crash(rig.chat.model_id, "It broke.")
                await replica.ended()
                assert replica.lost_reason == "It broke."
                done.set()
            if state is not State.DRAINING:
                heard.append(await anext(losses))
        if state is State.DRAINING:
            assert heard == []
        else:
            assert heard == [ReplicaLost(replica, "It broke.", 1.0)]

    on_pool(scenario)


def test_each_crash_waits_longer_until_there_are_no_more_restarts(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        delays: list[float | None] = []
        with rig.pool.losses() as losses:
            for _ in range(4):
                await rig.load(rig.chat)
                rig.launcher.crash(rig.chat.model_id)
                delays.append((await anext(losses)).restart_delay_s)
            await anyio.sleep(600)
            await rig.load(rig.chat)
            rig.launcher.crash(rig.chat.model_id)
            delays.append((await anext(losses)).restart_delay_s)
            await rig.load(rig.chat)
            rig.pool.clear_cooldowns()
            rig.launcher.crash(rig.chat.model_id)
            delays.append((await anext(losses)).restart_delay_s)
        assert delays == [1.0, 5.0, 15.0, None, 1.0, 1.0]

    on_pool(scenario)


def test_a_crash_of_one_replica_is_none_of_another(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        base = await rig.load(rig.base)
        rig.launcher.crash(rig.chat.model_id)
        await settle()
        assert rig.ready() == {rig.base.simple_name}
        assert base.state is State.READY

    on_pool(scenario)


def test_files_do_not_change_while_a_load_on_demand_is_under_way(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        got: list[Any] = []
        done = anyio.Event()
        done.set()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.chat, done, got)
            await settle()
            with pytest.raises(ModelInUse), rig.pool.block_loads(rig.chat):
                pass
        await rig.pool.unload_all(0)
        with rig.pool.block_loads(rig.chat), pytest.raises(ModelInUse):
            await rig.pool.ensure(rig.chat, None)
        await rig.pool.ensure(rig.chat, None)

    on_pool(scenario)
