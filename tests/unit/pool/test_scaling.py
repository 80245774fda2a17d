"""How many replicas a model has: at least, at most, and by the rate of its requests; replaced when one is lost."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from foundrylocal.engine.replica import Cause
from foundrylocal.pool.leaving import IDLE_CHECK_PERIOD_S
from foundrylocal.pool.losses import ReplicaLost
from foundrylocal.pool.scaling import PERIOD_S, SCALE_DOWN_AFTER_S, Demand, replicas_needed
from foundrylocal.wire.load_options import LoadOptions
from tests.fakes import virtual_time
from tests.unit.pool.rig import MB, PoolRunner, Rig

LOAD_S = 1.0  # of the fake launcher
SOON_S = 2 * PERIOD_S + LOAD_S


@pytest.mark.parametrize(
    ("rate", "waiting", "usual_s", "slots", "needed"),
    [
        (0, 0, 2, 4, 0),
        (1, 0, 2, 4, 1),
        (1.8, 0, 2, 4, 1),  # 3.6 of 4 slots are 90 %
        (1.9, 0, 2, 4, 2),
        (0, 36, 2, 4, 1),
        (0, 40, 2, 4, 2),  # 40 that wait are 2 a second
        (100, 0, 2, 4, 56),
    ],
)
def test_as_many_as_keep_up(rate: float, waiting: int, usual_s: float, slots: int, needed: int) -> None:
    assert replicas_needed(rate, waiting, usual_s, slots) == needed


def count(rig: Rig) -> int:
    return len(rig.pool.replicas_of(rig.chat))


async def ask_for(rig: Rig, seconds: int, *, per_s: int = 0, waiting: int = 0, arrived: int = 0) -> int:
    """So many requests a second for a while, of two seconds each; how many have arrived then."""
    for _ in range(seconds):
        arrived += per_s
        rig.pool.note_demand({rig.chat.model_id: Demand(arrived, waiting, 2.0)})
        await anyio.sleep(1)
    return arrived


def test_a_loaded_model_gets_its_least_number_without_being_asked(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        first = await rig.load(rig.chat)
        assert count(rig) == 1  # the first one answers as soon as it is there
        await anyio.sleep(SOON_S)
        assert count(rig) == 3
        assert first in rig.pool.replicas_of(rig.chat)
        assert all(one.spec.is_like(first.spec) for one in rig.pool.replicas_of(rig.chat))
        await anyio.sleep(300)
        assert count(rig) == 3

    on_pool(scenario, replicas=3)


def test_while_there_is_nothing_to_scale_nothing_wakes_up(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        await anyio.sleep(SOON_S)
        before = virtual_time.wakeups()
        await anyio.sleep(600)
        looks_for_idle_models = 600 / IDLE_CHECK_PERIOD_S
        assert virtual_time.wakeups() - before <= looks_for_idle_models + 2

    on_pool(scenario, replicas="1-4")


def test_only_the_named_model_has_several(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        await rig.load(rig.base)
        await anyio.sleep(SOON_S)
        assert (count(rig), len(rig.pool.replicas_of(rig.base))) == (2, 1)
        rig.set(replicas={rig.base.model_id.upper(): 2, rig.chat.simple_name: 2})
        await anyio.sleep(SOON_S)
        assert len(rig.pool.replicas_of(rig.base)) == 2

    async def named(rig: Rig) -> None:
        rig.set(replicas={rig.chat.simple_name: "2"})
        await scenario(rig)

    on_pool(named)


def test_nobody_leaves_for_a_further_replica(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 100 * MB
        await rig.load(rig.chat, 40)
        await rig.load(rig.base, 40)
        await anyio.sleep(60)
        assert (count(rig), rig.ready()) == (1, {rig.chat.simple_name, rig.base.simple_name})
        await rig.pool.unload_model(rig.base, 0)
        await anyio.sleep(200)
        assert count(rig) == 2

    on_pool(scenario, replicas={"SmolLM2-135M-Instruct-Q4_1-GGUF": 2})


def test_a_model_that_is_unloaded_gets_no_further_replica(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        for unload in (
            lambda: rig.pool.unload_model(rig.chat, 0),
            lambda: rig.pool.unload_all(0),
        ):
            rig.launcher.behavior(rig.chat.model_id).load_s = LOAD_S
            await rig.load(rig.chat)
            rig.launcher.behavior(rig.chat.model_id).load_s = 10 * LOAD_S
            await anyio.sleep(2 * PERIOD_S)
            assert len(rig.launcher.running) == 2  # the second one is being loaded
            await unload()
            await anyio.sleep(60)
            assert rig.launcher.running == {}

    on_pool(scenario, replicas=2)


def test_a_load_with_other_options_replaces_all_replicas(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        rig.launcher.behavior(rig.chat.model_id).load_s = 5 * LOAD_S
        async with anyio.create_task_group() as group:
            await anyio.sleep(2 * PERIOD_S)
            group.start_soon(rig.pool.load_with, rig.chat, LoadOptions(parallel=2))
        await anyio.sleep(30)
        assert [one.slots for one in rig.pool.replicas_of(rig.chat)] == [2, 2]
        assert len(rig.launcher.running) == 2

    on_pool(scenario, replicas=2)


def test_the_rate_of_requests_decides_within_the_range(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        arrived = await ask_for(rig, 10, per_s=3)
        assert count(rig) == 2  # 3 a second of 2 s each are 6 of 8 slots
        arrived = await ask_for(rig, 10, per_s=50, arrived=arrived)
        assert count(rig) == 4

    on_pool(scenario, replicas="1-4")


def test_a_short_burst_that_is_over_at_once_loads_nothing(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        arrived = await ask_for(rig, 3)
        arrived = await ask_for(rig, 1, per_s=4, arrived=arrived)
        await ask_for(rig, 30, arrived=arrived)
        assert len([line for line in rig.launcher.history if line.startswith("launch")]) == 1

    on_pool(scenario, replicas="1-4")


def test_what_is_not_needed_for_a_while_leaves_one_by_one_once_it_is_idle(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        arrived = await ask_for(rig, 15, per_s=50)
        assert count(rig) == 3
        await ask_for(rig, int(SCALE_DOWN_AFTER_S) // 2, arrived=arrived)
        assert count(rig) == 3
        await ask_for(rig, int(SCALE_DOWN_AFTER_S), arrived=arrived)
        assert count(rig) == 2
        await ask_for(rig, 2 * int(SCALE_DOWN_AFTER_S), arrived=arrived)
        assert count(rig) == 1

    on_pool(scenario, replicas="1-3")


@pytest.mark.parametrize("is_node_lost", [False, True])
def test_a_lost_replica_is_replaced_and_only_a_crash_counts(on_pool: PoolRunner, is_node_lost: bool) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.nodes = {"a": 50 * MB, "b": 50 * MB, "c": 50 * MB}
        await rig.load(rig.chat)
        await anyio.sleep(SOON_S)
        lost, kept = rig.pool.replicas_of(rig.chat)
        losses: list[ReplicaLost] = []
        with rig.pool.losses() as events:
            if is_node_lost:
                rig.launcher.lose(lost.node)
            else:
                rig.launcher.fail(lost.id)
            losses.append(await anext(aiter(events)))
        assert rig.pool.replicas_of(rig.chat) == [kept]
        async with rig.pool.lease(rig.chat) as replica:  # requests go on meanwhile
            assert replica is kept
        await anyio.sleep(SOON_S if is_node_lost else SOON_S + 1)  # the first restart waits for a second
        assert count(rig) == 2
        assert lost.lost_cause is (Cause.NODE if is_node_lost else Cause.WORKER)
        assert losses[0].restart_delay_s == (0 if is_node_lost else 1)

    on_pool(scenario, replicas=2)


def test_four_lost_nodes_are_no_model_that_crashes_again_and_again(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.nodes = {name: 50 * MB for name in "abcdefg"}
        await rig.load(rig.chat)
        for _ in range(5):
            await anyio.sleep(SOON_S)
            assert count(rig) == 2
            rig.launcher.lose(rig.pool.replicas_of(rig.chat)[0].node)
            await anyio.sleep(0.01)
        await anyio.sleep(SOON_S)
        assert count(rig) == 2

    on_pool(scenario, replicas=2)


def test_a_replica_that_cannot_be_loaded_is_tried_again_with_pauses(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        rig.launcher.behavior(rig.chat.model_id).fails_with = "No."
        await anyio.sleep(100)
        tries = [line for line in rig.launcher.history if line.startswith("launch")][1:]
        assert 2 <= len(tries) <= 5
        assert count(rig) == 1
        rig.launcher.behavior(rig.chat.model_id).fails_with = None
        await anyio.sleep(130)
        assert count(rig) == 2

    on_pool(scenario, replicas=2)


def test_a_surplus_replica_makes_room_for_another_model_even_of_the_current_one(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.total_bytes = 100 * MB
        await rig.load(rig.chat, 40)
        rig.pool.set_current(rig.chat)
        await ask_for(rig, 10, per_s=3)
        assert count(rig) == 2
        await rig.load(rig.base, 40)
        assert (count(rig), rig.ready()) == (1, {rig.chat.simple_name, rig.base.simple_name})

    on_pool(scenario, replicas="1-2")


def test_an_idle_model_leaves_with_all_its_replicas(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        await anyio.sleep(SOON_S)
        for _ in range(12):  # one replica is used, the other is not: the model is not idle
            async with rig.pool.lease(rig.chat, None, b"conversation"):
                await anyio.sleep(10)
        assert count(rig) == 2
        await anyio.sleep(70)
        assert rig.launcher.running == {}

    on_pool(scenario, replicas=2, idle_unload_seconds=60)


def test_a_model_that_a_request_does_not_keep_leaves_with_all_its_replicas(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        await anyio.sleep(SOON_S)
        async with rig.pool.lease(rig.chat) as replica:
            with rig.pool.kept_alive(replica, 0):
                pass
        await anyio.sleep(5)
        assert rig.launcher.running == {}

    on_pool(scenario, replicas=2)


def test_a_suspect_replica_gets_nothing_until_a_probe_is_answered(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        await anyio.sleep(SOON_S)
        suspect, other = rig.pool.replicas_of(rig.chat)
        rig.launcher.behavior(rig.chat.model_id).is_silent = True
        slots = rig.pool.slots(rig.chat)
        rig.pool.suspect(suspect)
        chosen: list[Any] = []
        for number in range(20):
            async with rig.pool.lease(rig.chat, None, b"%d" % number) as replica:
                chosen.append(replica)
        assert set(chosen) == {other}
        assert rig.pool.slots(rig.chat).total == slots.total // 2
        rig.launcher.behavior(rig.chat.model_id).is_silent = False
        await anyio.sleep(20)
        assert not suspect.is_suspect
        assert rig.pool.slots(rig.chat) == slots

    on_pool(scenario, replicas=2)
