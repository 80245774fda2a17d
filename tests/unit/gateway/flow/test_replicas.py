"""Requests to a model with several replicas: where they go, and what becomes of them when one is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from foundrylocal.engine.replica import Address
from foundrylocal.errors import NodeLost, WorkerCrashed
from foundrylocal.gateway.flow.relay import NothingSent, WhyGone
from foundrylocal.gateway.flow.replica_watch import ReplicaWatch
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.pool.roster import Replica
from tests.fakes import virtual_time
from tests.unit.gateway.flow.test_dispatch import CHAT, Desk
from tests.unit.pool.rig import MB
from tests.unit.server.rig import ServerRig, ServerRunner

SOON_S = 4.0
Serve = Callable[[InferenceRequest, WhyGone, Replica], Awaitable[None]]


class Cluster(Desk):
    """A model with one replica on each of two nodes; `reached` are the ids of the replicas that requests came to."""

    def __init__(self, rig: ServerRig, serve: Serve | None = None) -> None:
        super().__init__(rig)
        self.reached: list[str] = []
        self.serve = serve
        self.dispatcher._send_to_worker = self.send

    async def send(
        self, address: Address, request: InferenceRequest, why_gone: WhyGone, reader_timeout_s: float
    ) -> None:
        replica_id = address.url.removeprefix("unix:///")
        self.reached.append(replica_id)
        await anyio.lowlevel.checkpoint()
        if self.serve is not None:
            replica = next(one for one in self.replicas() if one.id == replica_id)
            await self.serve(request, why_gone, replica)

    def replicas(self) -> list[Replica]:
        return self.rig.pool.replicas_of(self.rig.chat)


async def cluster(rig: ServerRig, serve: Serve | None = None) -> Cluster:
    rig.launcher.nodes = {"a": 2000 * MB, "b": 2000 * MB}
    await rig.start(options={"context_size": 4096})
    await anyio.sleep(SOON_S)
    found = Cluster(rig, serve)
    assert sorted(one.node for one in found.replicas()) == ["a", "b"]
    return found


def chat(*texts: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[turn % 2], "content": text} for turn, text in enumerate(texts)]}


def test_a_conversation_stays_with_one_replica_and_conversations_are_spread(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        desk = await cluster(rig)
        for number in range(16):
            turns = [f"Question {number}"]
            desk.reached.clear()
            for turn in range(3):
                await desk.ask(CHAT, **chat(*turns))
                turns += [f"Answer {turn}", f"And {turn}?"]
            assert len(set(desk.reached)) == 1, desk.reached
            desk.outcomes.append(desk.reached[0])
        homes = Counter(one for one in desk.outcomes if isinstance(one, str))
        assert len(homes) == 2

    on_server(scenario, replicas=2)


def test_as_many_run_at_once_as_all_replicas_have_slots(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        may_end = anyio.Event()

        async def hold(request: InferenceRequest, why_gone: WhyGone, replica: Replica) -> None:
            await may_end.wait()

        desk = await cluster(rig, hold)
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(desk.ask)
            await anyio.sleep(1)
            assert Counter(desk.reached) == Counter({one.id: 2 for one in desk.replicas()})
            may_end.set()
        assert len(desk.outcomes) == 6

    on_server(scenario, replicas=2, parallel=2)


def test_a_replica_that_becomes_ready_takes_waiting_requests_at_once(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        may_end = anyio.Event()

        async def hold(request: InferenceRequest, why_gone: WhyGone, replica: Replica) -> None:
            await may_end.wait()

        await rig.start()
        desk = Cluster(rig, hold)
        async with anyio.create_task_group() as group:
            watch = anyio.CancelScope()

            async def follow() -> None:
                with watch:
                    await ReplicaWatch(rig.server, desk.queue).run()

            group.start_soon(follow)
            group.start_soon(desk.ask)
            group.start_soon(desk.ask)
            await anyio.sleep(0.1)
            assert len(desk.reached) == 1
            await anyio.sleep(SOON_S)
            assert len(set(desk.reached)) == 2
            may_end.set()
            watch.cancel()

    on_server(scenario, replicas=2, parallel=1)


def test_without_requests_nothing_wakes_up_and_the_first_one_does(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        desk = await cluster(rig)
        before = virtual_time.wakeups()
        await anyio.sleep(600)
        without = virtual_time.wakeups() - before  # what others do
        async with anyio.create_task_group() as group:
            group.start_soon(ReplicaWatch(rig.server, desk.queue).run)
            before = virtual_time.wakeups()
            await anyio.sleep(600)
            assert virtual_time.wakeups() - before <= without + 2
            for _ in range(10):
                await desk.ask()
                await anyio.sleep(0.1)
            before = virtual_time.wakeups()
            await anyio.sleep(20)
            assert virtual_time.wakeups() - before >= 18  # the rate is followed
            await anyio.sleep(60)
            before = virtual_time.wakeups()
            await anyio.sleep(600)
            assert virtual_time.wakeups() - before <= without + 2
            group.cancel_scope.cancel()

    on_server(scenario, replicas=2)


@pytest.mark.parametrize("is_heard_of", [True, False])
def test_what_was_not_begun_on_a_lost_node_is_answered_elsewhere(
    on_server: ServerRunner, is_heard_of: bool
) -> None:
    async def scenario(rig: ServerRig) -> None:
        lost: list[str] = []

        async def lose_the_first(request: InferenceRequest, why_gone: WhyGone, replica: Replica) -> None:
            if not lost:
                lost.append(replica.id)
                if is_heard_of:
                    rig.launcher.lose(replica.node)
                raise await why_gone(False)
            assert replica.id != lost[0]

        desk = await cluster(rig, lose_the_first)
        began = anyio.current_time()
        await desk.ask()
        assert isinstance(desk.outcomes[0], InferenceRequest), desk.outcomes
        assert len(desk.reached) == 2
        assert anyio.current_time() - began <= 0.6

    on_server(scenario, replicas=2)


def test_a_request_that_hangs_on_a_lost_node_does_not_wait_for_its_connection(
    on_server: ServerRunner,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        async def hang_at_first(request: InferenceRequest, why_gone: WhyGone, replica: Replica) -> None:
            if len(desk.reached) == 1:
                await anyio.sleep_forever()

        desk = await cluster(rig, hang_at_first)
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(desk.ask)
            await anyio.sleep(3)
            (reached,) = desk.reached
            rig.launcher.lose(next(one.node for one in desk.replicas() if one.id == reached))
        assert isinstance(desk.outcomes[0], InferenceRequest), desk.outcomes
        assert len(set(desk.reached)) == 2
        assert anyio.current_time() - began < 3.1
        assert desk.running() == 0

    on_server(scenario, replicas=2)


def test_it_is_repeated_once_at_most(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        async def break_off(request: InferenceRequest, why_gone: WhyGone, replica: Replica) -> None:
            raise await why_gone(False)

        desk = await cluster(rig, break_off)
        await desk.ask()
        assert isinstance(desk.outcomes[0], NodeLost)
        assert len(desk.reached) == 2

    on_server(scenario, replicas=2)


def test_an_answer_that_has_begun_ends_with_the_lost_node(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        async def lose(request: InferenceRequest, why_gone: WhyGone, replica: Replica) -> None:
            rig.launcher.lose(replica.node)
            raise await why_gone(True)

        desk = await cluster(rig, lose)
        await desk.ask()
        assert isinstance(desk.outcomes[0], NodeLost)
        assert len(desk.reached) == 1

    on_server(scenario, replicas=2)


def test_a_request_that_a_worker_had_when_it_crashed_is_not_repeated_on_a_node_either(
    on_server: ServerRunner,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        async def crash(request: InferenceRequest, why_gone: WhyGone, replica: Replica) -> None:
            rig.launcher.fail(replica.id)
            raise await why_gone(False)

        desk = await cluster(rig, crash)
        await desk.ask()
        assert isinstance(desk.outcomes[0], WorkerCrashed)
        assert len(desk.reached) == 1
        assert rig.status == "running"
        assert rig.server.snapshot().last_error is None  # the other replica serves on

    on_server(scenario, replicas=2)


def test_a_replica_that_cannot_be_reached_gets_nothing_more(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        async def refuse_on_a(request: InferenceRequest, why_gone: WhyGone, replica: Replica) -> None:
            if replica.node == "a":
                rig.launcher.behavior(rig.chat.model_id).is_silent = True
                raise NothingSent

        desk = await cluster(rig, refuse_on_a)
        began = anyio.current_time()
        for number in range(20):
            await desk.ask(CHAT, **chat(f"Question {number}"))
        on_a = next(one.id for one in desk.replicas() if one.node == "a")
        assert desk.reached.count(on_a) == 1
        assert all(isinstance(one, InferenceRequest) for one in desk.outcomes)
        assert anyio.current_time() - began < 0.1  # nobody waited

    on_server(scenario, replicas=2)


def test_many_lost_nodes_do_not_end_the_service(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        desk = await cluster(rig)
        for number in range(6):
            rig.launcher.nodes[f"n{number}"] = 2000 * MB
            rig.launcher.lose(desk.replicas()[0].node)
            await desk.ask()
            await anyio.sleep(SOON_S)
        for node in list(rig.launcher.nodes):
            rig.launcher.lose(node)
        rig.launcher.nodes["new"] = 2000 * MB
        await anyio.sleep(SOON_S)
        await desk.ask()
        assert rig.status == "running"
        assert all(isinstance(one, InferenceRequest) for one in desk.outcomes)

    on_server(scenario, replicas=2)
