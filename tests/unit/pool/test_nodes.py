"""Loads in a cluster of several nodes: which one they go to, what they leave alone, and nodes that are lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest

from foundrylocal.errors import ClusterUnreachable, InsufficientMemory, NodeLost, NodeUnusable
from foundrylocal.pool.roster import Replica
from foundrylocal.wire.load_options import LoadOptions
from tests.unit.pool.rig import MB, PoolRunner, Rig


def cluster(rig: Rig, **nodes_mb: int) -> None:
    rig.launcher.nodes = {node: size * MB for node, size in nodes_mb.items()}


def where(rig: Rig) -> dict[str, list[str]]:
    """The models on each node."""
    return {
        node: sorted(one.spec.model_id.rpartition("/")[2] for one in rig.launcher.on(node))
        for node in rig.launcher.nodes
    }


def test_loads_at_once_never_plan_the_same_memory(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=50, b=50, c=50)
        async with anyio.create_task_group() as group:
            for model in (rig.chat, rig.base, rig.third):
                group.start_soon(rig.load, model, 40)
        assert [len(models) for models in where(rig).values()] == [1, 1, 1]
        assert len(rig.launcher.history) == 3  # nobody has left

    on_pool(scenario)


def test_a_model_that_fits_on_no_node_unloads_nobody(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=60, b=60)
        await rig.load(rig.chat, 40)
        await rig.load(rig.base, 40)
        before = where(rig)
        with pytest.raises(InsufficientMemory) as refused:
            await rig.load(rig.third, 100)
        assert "Needed: 100.0 MB, free: 20.0 MB" in str(refused.value.details)
        assert where(rig) == before

    on_pool(scenario)


def test_only_the_model_on_the_chosen_node_leaves(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=60, b=60)
        await rig.load(rig.chat, 40)
        await rig.load(rig.base, 40)
        await rig.load(rig.third, 50)
        assert where(rig) == {"a": [rig.third.simple_name], "b": [rig.base.simple_name]}

    on_pool(scenario)


def test_once_somebody_has_left_a_room_nobody_leaves_another_one(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=80, b=80)
        models = [model for model in rig.registry.all() if model is not rig.third][:4]
        for model in models:  # in turn on a, b, a, b; each is used later than the one before
            await rig.load(model, 40)
        on_b = rig.launcher.on("b")[-1].spec.model_id

        async def free_the_other_room_at_the_first_departure() -> None:
            with rig.launcher.events() as events:
                async for _ in events:
                    break
            rig.launcher.crash(on_b)

        async with anyio.create_task_group() as group:
            group.start_soon(free_the_other_room_at_the_first_departure)
            replica = await rig.pool.load(rig.third, rig.spec(rig.third, 80), 180)
        assert replica.node == "a"
        assert len(rig.launcher.on("b")) == 1

    on_pool(scenario)


def test_a_node_that_is_lost_at_the_launch_is_passed_over(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=100, b=50)
        rig.launcher.dying = {"a"}
        assert (await rig.load(rig.chat)).node == "b"
        rig.launcher.dying = {"a", "b"}
        with pytest.raises(NodeLost):
            await rig.load(rig.base, 5)

    on_pool(scenario)


def test_a_lost_node_says_nothing_about_the_model(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=100)
        rig.launcher.dying = {"a"}
        for _ in range(3):
            with pytest.raises(NodeLost):
                async with rig.pool.lease(rig.chat):
                    pass
        rig.launcher.dying = set()
        async with rig.pool.lease(rig.chat) as replica:  # it is tried again at once
            assert replica.node == "a"

    on_pool(scenario)


def test_a_plan_names_the_node_and_whom_it_unloads_there(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        plan = await rig.pool.plan(rig.chat, LoadOptions(context_size=512))
        needed_mb = plan.memory.needed_bytes // MB + 1
        assert (plan.node, plan.unloads) == ("", ())
        cluster(rig, a=needed_mb, b=needed_mb + 9)
        rig.launcher.lacking = {"b": {rig.chat.model_id}}
        facts: dict[str, Any] = {"context_size": 512}
        plan = await rig.pool.plan(rig.chat, LoadOptions(**facts))
        assert (plan.node, plan.memory.free_bytes) == ("a", needed_mb * MB)
        await rig.load(rig.base, needed_mb - 1)
        await rig.load(rig.third, needed_mb - 1)
        plan = await rig.pool.plan(rig.chat, LoadOptions(**facts))
        assert len(plan.unloads) == 1
        async with rig.pool.lease(rig.chat, LoadOptions(**facts)) as replica:
            assert replica.node == plan.node
        assert len(rig.launcher.running) == 2

    on_pool(scenario)


def test_while_the_cluster_cannot_be_reached_plans_say_so_and_nothing_is_loaded(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        loaded = await rig.load(rig.base)
        rig.launcher.unreachable = ClusterUnreachable("It does not answer.")
        plan = await rig.pool.plan(rig.chat, LoadOptions())
        assert plan.refusal is rig.launcher.unreachable
        assert not plan.unloads
        for _ in range(2):  # it is no failure of the model
            with pytest.raises(ClusterUnreachable):
                async with rig.pool.lease(rig.chat):
                    pass
        async with rig.pool.lease(rig.base) as replica:  # what runs goes on
            assert replica is loaded
        rig.launcher.unreachable = None
        async with rig.pool.lease(rig.chat):
            pass

    on_pool(scenario)


def test_a_node_that_cannot_get_the_files_costs_only_itself(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=100, b=50, c=40)
        rig.launcher.spoiled = {"a"}
        assert (await rig.load(rig.chat)).node == "b"
        rig.pool.set_current(rig.chat)  # it does not leave for another model
        rig.launcher.spoiled, rig.launcher.suspects = {"a", "c"}, set()
        for _ in range(2):  # it is no failure of the model: it is tried again at once
            with pytest.raises(NodeUnusable) as failed:
                await rig.load(rig.base)
            assert "No disk space on" in str(failed.value.details)
            rig.launcher.suspects = set()
        assert rig.ready() == {rig.chat.simple_name}
        assert where(rig) == {"a": [], "b": [rig.chat.simple_name], "c": []}

    on_pool(scenario)


def test_the_built_in_engine_has_no_gpu_on_a_node_where_another_engine_has(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=2000)
        rig.launcher.gpus = {"a": (2000 * MB,)}
        plan = await rig.pool.plan(rig.chat, LoadOptions(gpu_layers=9))
        assert (plan.report.effective.gpu_layers, plan.memory.gpu_bytes) == (0, 0)
        plan = await rig.pool.plan(rig.chat, LoadOptions(gpu_layers=9, engine="cuda"))
        assert plan.report.effective.gpu_layers == 9
        assert plan.spec is not None
        assert plan.spec.gpu_bytes == plan.memory.gpu_bytes > 0

    on_pool(scenario)


def test_what_was_planned_for_a_gpu_goes_only_where_one_has_room(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=500, b=100)
        rig.launcher.gpus = {"b": (20 * MB, 20 * MB)}
        planned = replace(rig.spec(rig.chat), gpu_bytes=30 * MB)
        assert (await rig.pool.load(rig.chat, planned, 180)).node == "b"
        larger = replace(rig.spec(rig.base), gpu_bytes=50 * MB)
        with pytest.raises(InsufficientMemory):
            await rig.pool.load(rig.base, larger, 180)
        assert where(rig) == {"a": [], "b": [rig.chat.simple_name]}
        assert not await rig.pool.fits_beside(rig.base, larger)

    on_pool(scenario)


def test_a_load_whose_node_is_lost_goes_on_elsewhere(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        cluster(rig, a=100, b=50)
        replicas: list[Replica] = []

        async def ask() -> None:
            async with rig.pool.lease(rig.chat) as replica:
                replicas.append(replica)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.sleep(0.5)
            assert [one.node for one in rig.launcher.running.values()] == ["a"]
            rig.launcher.lose("a")
        assert [one.node for one in replicas] == ["b"]
        assert len(rig.launcher.running) == 1

    on_pool(scenario)
