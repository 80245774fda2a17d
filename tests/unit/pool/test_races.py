"""Random storms of callers, loads, unloads and crashes in virtual time: what holds after each step and at the end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import FoundryLocalError
from foundrylocal.pool.roster import IN_MEMORY
from foundrylocal.pool.scaling import Demand
from tests.fakes import virtual_time
from tests.unit.pool.rig import MB, Rig, running_pool

_models = st.integers(0, 2)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("request"), _models, st.sampled_from([0.0, 0.5, 4.0, 40.0])),
        st.tuples(st.just("client_leaves"), st.just(0), st.just(0.0)),
        st.tuples(st.just("load"), _models, st.sampled_from([4.0, 8.0])),
        st.tuples(st.just("cancelled_load"), _models, st.sampled_from([0.0, 0.5])),
        st.tuples(st.just("unload"), _models, st.sampled_from([0.0, 2.0])),
        st.tuples(st.just("unload_all"), st.just(0), st.sampled_from([0.0, 2.0])),
        st.tuples(st.just("retire"), _models, st.just(0.0)),
        st.tuples(st.just("recall"), _models, st.just(0.0)),
        st.tuples(st.just("crash"), _models, st.just(0.0)),
        st.tuples(st.just("demand"), _models, st.sampled_from([0.0, 4.0, 60.0])),
        st.tuples(st.just("lose_node"), st.just(0), st.just(0.0)),
        st.tuples(st.just("suspect"), _models, st.just(0.0)),
        st.tuples(st.just("pin"), _models, st.just(0.0)),
        st.tuples(st.just("fail"), _models, st.sampled_from([0.0, 1.0])),
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([0.1, 1.0, 5.0, 30.0])),
    ),
    max_size=40,
)


class Storm:
    """One walk; every task that it starts ends with a result or an error of the domain."""

    def __init__(self, rig: Rig, group: anyio.abc.TaskGroup) -> None:
        self.rig, self.group = rig, group
        self.models = (rig.chat, rig.base, rig.third)
        self.clients: list[anyio.CancelScope] = []
        self.faults: list[Exception] = []

    async def step(self, what: str, which: int, number: float) -> None:
        await getattr(self, what)(self.models[which], number)

    async def request(self, model: Model, seconds: float) -> None:
        self.group.start_soon(self._contain, self._request, model, seconds)

    async def client_leaves(self, model: Model, seconds: float) -> None:
        if self.clients:
            self.clients.pop().cancel()

    async def load(self, model: Model, parallel: float) -> None:
        spec = self.rig.spec(model, parallel=int(parallel))
        self.group.start_soon(self._contain, self.rig.pool.load, model, spec, 100)

    async def cancelled_load(self, model: Model, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._contain(self.rig.pool.load, model, self.rig.spec(model), 100)

    async def unload(self, model: Model, drain_s: float) -> None:
        if (replica := self.rig.pool.get(model)) is not None:
            self.group.start_soon(self._contain, self.rig.pool.unload, replica, drain_s)

    async def unload_all(self, model: Model, drain_s: float) -> None:
        self.group.start_soon(self._contain, self.rig.pool.unload_all, drain_s)

    async def retire(self, model: Model, seconds: float) -> None:
        if (replica := self.rig.pool.get(model)) is not None:
            self.rig.pool.retire(replica)

    async def recall(self, model: Model, seconds: float) -> None:
        for replica in self.rig.pool.in_memory():
            self.rig.pool.recall(replica.spec)

    async def crash(self, model: Model, seconds: float) -> None:
        self.rig.launcher.crash(model.model_id)

    async def demand(self, model: Model, waiting: float) -> None:
        self.rig.pool.note_demand({model.model_id: Demand(0, int(waiting), 2.0)})

    async def lose_node(self, model: Model, seconds: float) -> None:
        """The other node goes, and comes back empty."""
        if (size := self.rig.launcher.nodes.get("other")) is not None:
            self.rig.launcher.lose("other")
            self.rig.launcher.nodes["other"] = size

    async def suspect(self, model: Model, seconds: float) -> None:
        if (replica := self.rig.pool.get(model)) is not None:
            self.rig.pool.suspect(replica)

    async def pin(self, model: Model, seconds: float) -> None:
        self.rig.pool.set_current(model)

    async def fail(self, model: Model, fails: float) -> None:
        self.rig.launcher.behavior(model.model_id).fails_with = "no" if fails else None

    async def wait(self, model: Model, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def _request(self, model: Model, seconds: float) -> None:
        with anyio.CancelScope() as scope:
            self.clients.append(scope)
            async with self.rig.pool.lease(model):
                await anyio.sleep(seconds)

    async def _contain(self, work: Any, *args: Any) -> None:
        try:
            await work(*args)
        except FoundryLocalError:
            pass
        except Exception as error:  # noqa: BLE001 - the walk goes on, and fails at its end
            self.faults.append(error)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=_steps,
    total_mb=st.sampled_from([60, 100, 1000]),
    other_mb=st.sampled_from([0, 50, 1000]),
    replicas=st.sampled_from([1, 2, "1-3"]),
)
def test_any_storm_leaves_the_pool_whole(
    models_home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    steps: list[tuple[str, int, float]],
    total_mb: int,
    other_mb: int,
    replicas: int | str,
) -> None:
    async def main() -> None:
        async with running_pool(models_home, tmp_path, drain_seconds=3, replicas=replicas) as rig:
            rig.launcher.total_bytes = total_mb * MB
            if other_mb:
                rig.launcher.nodes["other"] = other_mb * MB
            async with anyio.create_task_group() as group:
                storm = Storm(rig, group)
                for step in steps:
                    await storm.step(*step)
                    rig.check()
                    await virtual_time.settle()
                    rig.check()
            assert storm.faults == []
            rig.pool.set_current(None)
            rig.set(replicas=1)  # no further load begins
            await anyio.sleep(5)  # a load takes a second, and may have begun with the last step
            assert all(replica.in_flight == 0 for replica in rig.pool.in_memory())
            ids = {replica.spec.id for replica in rig.pool.in_memory()}
            assert ids == set(rig.launcher.running), "a worker that nobody knows, or a replica without one"
            # Whatever came before: the next thing works.
            for model in storm.models:
                rig.launcher.behavior(model.model_id).fails_with = None
            rig.pool.clear_cooldowns()
            async with rig.pool.lease(rig.chat) as replica:
                assert replica.model is rig.chat
            await rig.pool.unload_all(0)
            assert rig.launcher.running == {}
            assert not any(one.state in IN_MEMORY for one in rig.pool.in_memory())

    caplog.clear()
    with caplog.at_level(logging.ERROR):
        virtual_time.run(main)
    assert not [line for line in caplog.messages if "Unexpected" in line]


NODES = ("a", "b", "c")
_cluster_steps = st.lists(
    st.one_of(
        st.tuples(st.just("request"), _models, st.sampled_from([0.0, 4.0, 40.0])),
        st.tuples(st.just("load"), _models, st.sampled_from([4.0, 8.0])),
        st.tuples(st.just("unload"), _models, st.sampled_from([0.0, 2.0])),
        st.tuples(st.just("crash"), _models, st.just(0.0)),
        st.tuples(st.just("demand"), _models, st.sampled_from([0.0, 60.0])),
        st.tuples(st.just("lose_node"), _models, st.just(0.0)),
        st.tuples(st.just("node_returns"), _models, st.just(0.0)),
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([0.1, 1.0, 5.0, 30.0])),
    ),
    max_size=40,
)


class ClusterStorm(Storm):
    """A walk on three nodes that come and go; the number of the model is that of the node, too."""

    async def lose_node(self, model: Model, seconds: float) -> None:
        node = NODES[self.models.index(model)]
        if node in self.rig.launcher.nodes and len(self.rig.launcher.nodes) > 1:
            self.rig.launcher.lose(node)

    async def node_returns(self, model: Model, seconds: float) -> None:
        self.rig.launcher.nodes.setdefault(NODES[self.models.index(model)], 130 * MB)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=_cluster_steps, replicas=st.sampled_from([2, 3, "2-3"]))
def test_once_all_nodes_are_back_every_model_is_complete_and_spread(
    models_home: Path, tmp_path: Path, steps: list[tuple[str, int, float]], replicas: int | str
) -> None:
    async def main() -> None:
        keeps: dict[str, Any] = {"idle_unload_seconds": 0, "drain_seconds": 3, "replicas": replicas}
        async with running_pool(models_home, tmp_path, **keeps) as rig:
            rig.launcher.nodes = dict.fromkeys(NODES, 130 * MB)
            async with anyio.create_task_group() as group:
                storm = ClusterStorm(rig, group)
                for step in steps:
                    await storm.step(*step)
                    rig.check()
            assert storm.faults == []
            rig.launcher.nodes = dict.fromkeys(NODES, 400 * MB)
            for model in storm.models:
                rig.pool.note_demand({model.model_id: Demand()})
            await anyio.sleep(900)
            for model in storm.models:
                nodes = [replica.node for replica in rig.pool.replicas_of(model)]
                assert len(nodes) in (0, rig.pool.replica_range(model).least)
                assert len(set(nodes)) == len(nodes), "two of them are still on one node"
            assert {replica.id for replica in rig.pool.with_memory()} == set(rig.launcher.running)

    virtual_time.run(main)
