"""What a request may demand: a server that runs, and a context of its model."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from foundrylocal.errors import InvalidRequest, ServerShuttingDown
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.server.rig import ServerRig, ServerRunner


async def lease(rig: ServerRig, name: str, tokens: int | None = None, *, may_start: bool = False) -> int:
    """The context of the replica that a request with these demands gets."""
    async with rig.server.lease(name, context_tokens=tokens, may_start=may_start) as replica:
        assert replica.model.simple_name == name
        return replica.spec.context_size


def test_a_stopped_server_starts_with_the_model_only_for_a_request_that_may(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        with pytest.raises(ServerShuttingDown):
            await lease(rig, CHAT_MODEL)
        assert rig.status == "stopped"
        await lease(rig, CHAT_MODEL, may_start=True)
        assert rig.status == "running" and rig.server.state.current_name == CHAT_MODEL

    on_server(scenario)


def test_a_service_that_ends_starts_nothing(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.server.refuse_starts()
        with pytest.raises(ServerShuttingDown):
            await lease(rig, CHAT_MODEL, may_start=True)
        assert rig.status == "stopped"

    on_server(scenario)


def test_a_context_is_loaded_as_asked_for_and_a_larger_one_stays(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        assert await lease(rig, BASE_MODEL, 512) == 512
        assert await lease(rig, BASE_MODEL, 1024) == 1024
        assert await lease(rig, BASE_MODEL, 512) == 1024
        assert await lease(rig, BASE_MODEL) == 1024

    on_server(scenario)


def test_the_servers_own_model_gets_a_larger_context_and_stays_its_own(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(options={"context_size": 512})
        assert await lease(rig, CHAT_MODEL, 1024) == 1024
        assert rig.status == "running" and rig.server.state.current_name == CHAT_MODEL

    on_server(scenario)


def test_two_requests_for_the_same_context_share_one_load(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        found: list[int] = []

        async def ask() -> None:
            found.append(await lease(rig, BASE_MODEL, 1024))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
        assert found == [1024] * 3
        (replica,) = [one for one in rig.pool.in_memory() if one.model.simple_name == BASE_MODEL]
        assert replica.address.incarnation == 2  # the second process of all, after the server's own

    on_server(scenario)


def test_more_than_the_model_has_is_refused_and_loads_nothing(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        with pytest.raises(InvalidRequest, match="does not support a context of 1000000 tokens") as caught:
            await lease(rig, BASE_MODEL, 1_000_000)
        assert caught.value.param == "options.num_ctx"
        assert [one.model.simple_name for one in rig.pool.replicas()] == [CHAT_MODEL]

    on_server(scenario)


def test_a_context_that_is_there_waits_for_no_other_load(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(options={"context_size": 512})
        await lease(rig, BASE_MODEL, 512)
        rig.launcher.behavior(rig.chat.model_id).load_s = 100.0
        async with anyio.create_task_group() as group:
            group.start_soon(lease, rig, CHAT_MODEL, 1024)
            await anyio.sleep(1)
            with anyio.fail_after(1):
                assert await lease(rig, BASE_MODEL, 512) == 512

    on_server(scenario)


def test_a_context_that_is_there_does_not_wait_for_a_further_replica(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(options={"context_size": 512})
        rig.launcher.behavior(rig.chat.model_id).load_s = 100.0
        await anyio.sleep(5)
        assert len(rig.launcher.of(rig.chat.model_id)) == 2
        with anyio.fail_after(1):
            assert await lease(rig, CHAT_MODEL, 512) == 512

    on_server(scenario, replicas=2)


@pytest.mark.parametrize("tokens", [None, 512])
def test_requests_that_may_start_the_server_share_one_start(
    on_server: ServerRunner, tokens: int | None
) -> None:
    async def scenario(rig: ServerRig) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(partial(lease, rig, CHAT_MODEL, tokens, may_start=True))
            await anyio.sleep(0.5)
            assert rig.status == "starting"
            group.start_soon(partial(lease, rig, BASE_MODEL, tokens, may_start=True))
        assert rig.server.state.current_name == CHAT_MODEL
        assert sum(line.startswith("launch") for line in rig.launcher.history) == 2

    on_server(scenario)


def test_a_start_goes_on_for_others_when_its_client_leaves(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        async with anyio.create_task_group() as group:
            with anyio.move_on_after(0.5):
                await lease(rig, CHAT_MODEL, may_start=True)
            assert rig.status == "starting"
            for _ in range(2):
                group.start_soon(partial(lease, rig, CHAT_MODEL, may_start=True))
        assert sum(line.startswith("launch") for line in rig.launcher.history) == 1

    on_server(scenario)
