"""Tuning on a launcher in memory and a clock that jumps: it disturbs nobody, ends in time, and leaves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from foundrylocal.engine.cpu.cores import Cores
from foundrylocal.engine.replica import Address
from foundrylocal.errors import (
    InsufficientMemory,
    ModelNotDownloaded,
    OperationCancelled,
    ServerStartFailed,
    WorkerCrashed,
)
from foundrylocal.tuning.calm import MAX_WAIT_S, ModelsBusy
from foundrylocal.tuning.search import Speed
from foundrylocal.tuning.tuner import MAX_TUNE_S, Tuner, TuningInProgress
from foundrylocal.wire.load_options import EffectiveOptions, LoadOptions
from tests.fakes.virtual_time import settle
from tests.unit.pool.rig import PoolRunner, Rig

FOUR_CORES = Cores(frozenset(range(4)), 4)
Machine = Callable[[EffectiveOptions], Speed]


def half_the_cores_are_best(options: EffectiveOptions) -> Speed:
    return Speed(600.0, 80.0 if options.threads == 2 else 50.0)


@asynccontextmanager
async def tuner(
    rig: Rig, machine: Machine = half_the_cores_are_best, measure_s: float = 3.0
) -> AsyncIterator[Tuner]:
    async def measure(address: Address) -> Speed:
        (replica,) = (one for name, one in rig.launcher.running.items() if address.url.endswith(name))
        await anyio.sleep(measure_s)
        return machine(replica.spec.options)

    found = Tuner(rig.pool, rig.presets, cores=lambda: FOUR_CORES, measure=measure)
    async with anyio.create_task_group() as group:
        await group.start(found.run)
        yield found
        group.cancel_scope.cancel()


def saved(rig: Rig) -> dict[str, Any]:
    return rig.presets.of(rig.chat.model_id).saved()


def test_the_best_becomes_the_preset(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        async with tuner(rig) as tune:
            tuned = await tune.tune(rig.chat).result()
        assert tuned.changes == saved(rig) == {"threads": 2}
        assert tuned.gain_percent > 30
        assert tuned.seconds < MAX_TUNE_S
        assert rig.launcher.running == {}
        plan = await rig.pool.plan(rig.chat, LoadOptions())
        assert plan.options.threads == 2

    on_pool(scenario)


def test_what_is_not_better_is_not_saved(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        async with tuner(rig, lambda options: Speed(600, 50)) as tune:
            tuned = await tune.tune(rig.chat).result()
        assert (tuned.changes, saved(rig)) == ({}, {})

    on_pool(scenario)


def test_a_gain_that_is_not_there_the_second_time_is_not_saved(on_pool: PoolRunner) -> None:
    seen: list[EffectiveOptions] = []

    def lucky_once(options: EffectiveOptions) -> Speed:
        is_first = options not in seen
        seen.append(options)
        return Speed(600, 80 if options.threads == 2 and is_first else 50)

    async def scenario(rig: Rig) -> None:
        async with tuner(rig, lucky_once) as tune:
            tuned = await tune.tune(rig.chat).result()
        assert (tuned.changes, saved(rig)) == ({}, {})

    on_pool(scenario)


def test_it_ends_in_two_minutes_on_a_slow_machine(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.behavior(rig.chat.model_id).load_s = 20.0
        async with tuner(rig) as tune:
            began_s = anyio.current_time()
            tuned = await tune.tune(rig.chat).result()
            assert anyio.current_time() - began_s <= 120
        assert tuned.trials
        assert rig.launcher.running == {}

    on_pool(scenario)


def test_a_machine_on_which_nothing_ends_in_time_is_told_so(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        async with tuner(rig, measure_s=500) as tune:
            with pytest.raises(Exception, match="too slow to be tuned"):
                await tune.tune(rig.chat).result()
        assert rig.launcher.running == {}

    on_pool(scenario)


def test_a_request_stops_a_measurement_and_it_is_repeated_afterwards(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        loaded = await rig.load(rig.base)
        done = anyio.Event()
        async with tuner(rig) as tune, anyio.create_task_group() as group:
            operation = tune.tune(rig.chat)
            await anyio.sleep(2)  # the first measurement is under way
            assert len(rig.launcher.running) == 2
            group.start_soon(rig.hold, rig.base, done, [])
            await anyio.sleep(1)
            assert [one.spec for one in rig.launcher.running.values()] == [loaded.spec]
            await anyio.sleep(5)
            assert len(rig.launcher.running) == 1
            done.set()
            tuned = await operation.result()
        assert tuned.changes == {"threads": 2}

    on_pool(scenario)


def test_it_gives_up_when_requests_do_not_end(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.base)
        done = anyio.Event()
        async with tuner(rig) as tune, anyio.create_task_group() as group:
            group.start_soon(rig.hold, rig.base, done, [])
            await settle()
            began_s = anyio.current_time()
            with pytest.raises(ModelsBusy):
                await tune.tune(rig.chat).result()
            assert anyio.current_time() - began_s == pytest.approx(MAX_WAIT_S, abs=1)
            done.set()

    on_pool(scenario)


def test_nobody_leaves_memory_for_it(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.base)
        rig.launcher.total_bytes = 41 * 1024 * 1024
        async with tuner(rig) as tune:
            with pytest.raises(InsufficientMemory):
                await tune.tune(rig.chat).result()
        assert rig.pool.get(rig.base) is not None

    on_pool(scenario)


def test_callers_share_the_tuning_of_a_model_and_another_one_is_refused(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        async with tuner(rig) as tune:
            operation = tune.tune(rig.chat)
            assert tune.tune(rig.chat) is operation
            with pytest.raises(TuningInProgress, match=rig.chat.simple_name):
                tune.tune(rig.base)
            await operation.result()
            assert tune.tune(rig.base) is not operation

    on_pool(scenario)


def test_cancelling_leaves_no_worker_and_saves_nothing(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        async with tuner(rig) as tune:
            assert await tune.cancel() is False
            operation = tune.tune(rig.chat)
            await anyio.sleep(10)
            assert await tune.cancel() is True
            assert rig.launcher.running == {}
            with pytest.raises(OperationCancelled):
                await operation.result()
        assert saved(rig) == {}

    on_pool(scenario)


@pytest.mark.parametrize("name", ["not downloaded", "does not load", "does not answer"])
def test_a_model_that_cannot_be_measured_says_why(on_pool: PoolRunner, name: str) -> None:
    def crashes(options: EffectiveOptions) -> Speed:
        raise WorkerCrashed("It is gone.")

    async def scenario(rig: Rig) -> None:
        rig.launcher.behavior(rig.chat.model_id).fails_with = "broken" if name == "does not load" else None
        async with tuner(rig, crashes) as tune:
            model = (
                rig.registry.find("Qwen2.5-0.5B-Instruct-Q8_0-GGUF") if name == "not downloaded" else rig.chat
            )
            with pytest.raises((ModelNotDownloaded, ServerStartFailed, WorkerCrashed)):
                await tune.tune(model).result()
        assert rig.launcher.running == {}

    on_pool(scenario)


def test_options_that_do_not_load_are_passed_over(on_pool: PoolRunner) -> None:
    def machine(options: EffectiveOptions) -> Speed:
        if options.kv_cache_type == "q8_0":
            raise WorkerCrashed("It has no such cache.")
        return half_the_cores_are_best(options)

    async def scenario(rig: Rig) -> None:
        async with tuner(rig, machine) as tune:
            tuned = await tune.tune(rig.chat).result()
        assert tuned.changes == {"threads": 2}

    on_pool(scenario)
