"""Recovery: restarts after growing pauses, the end of it, and what interrupts it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from foundrylocal.errors import ModelLoading, ServerShuttingDown, SystemExhausted
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.server.rig import ROOM_FOR_ONE, ServerRig, ServerRunner


def test_restarts_come_after_1_5_and_15_seconds_and_then_the_status_is_error(
    on_server: ServerRunner,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(options={"parallel": 7})
        for pause_s in (1, 5, 15):
            rig.launcher.crash(rig.chat.model_id)
            await anyio.sleep(pause_s - 0.1)
            now = rig.server.snapshot()
            assert (rig.launcher.running, now.is_degraded, now.status) == ({}, True, "running")
            assert now.last_error is not None
            await anyio.sleep(1.2)
            replica = rig.pool.get(rig.chat)
            assert replica is not None
            assert (replica.spec.parallel, replica.is_current) == (7, True)
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(1)
        assert (rig.status, rig.ports.open_now) == ("error", [])
        assert "crashed repeatedly" in str(rig.server.snapshot().last_error.details)  # type: ignore[union-attr]

    on_server(scenario)


def test_ten_healthy_minutes_reset_the_count(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        for _ in range(6):
            rig.launcher.crash(rig.chat.model_id)
            await anyio.sleep(605)
            assert rig.status == "running"
            assert rig.ready() == {CHAT_MODEL}

    on_server(scenario)


def test_requests_are_told_to_come_back_until_it_is_ready(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.launcher.crash(rig.chat.model_id, "The worker was killed by SIGKILL.")
        await anyio.sleep(0.5)
        with pytest.raises(ModelLoading) as caught:
            async with rig.server.lease(None):
                pass
        assert caught.value.retry_after_s == 1
        await anyio.sleep(1)
        async with rig.server.lease(None):  # waits for the load that is under way
            pass

    on_server(scenario)


def test_a_restart_that_fails_is_the_end(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.launcher.behavior(rig.chat.model_id).fails_with = "no such architecture"
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(5)
        assert (rig.status, rig.ports.open_now) == ("error", [])

    on_server(scenario)


def test_a_shortage_of_our_own_is_waited_out(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        behavior = rig.launcher.behavior(rig.chat.model_id)
        behavior.raises = SystemExhausted("Too many open files")
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(1000)
        assert (rig.status, rig.running()) == ("running", [])
        behavior.raises = None
        await anyio.sleep(10)
        assert (rig.status, rig.running()) == ("running", [CHAT_MODEL])

    on_server(scenario)


def test_an_unload_abandons_it_and_the_next_request_loads(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(0.5)
        await rig.server.unload_all()
        await anyio.sleep(100)
        assert (rig.status, rig.running()) == ("running", [])
        async with rig.server.lease(None) as replica:
            assert replica.model is rig.chat

    on_server(scenario)


def test_a_switch_during_the_pause_wins(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(0.5)
        await rig.switch()
        await anyio.sleep(100)
        assert (rig.status, rig.running()) == ("running", [BASE_MODEL])

    on_server(scenario)


def test_a_model_on_demand_comes_back_with_its_next_request(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        async with rig.server.lease(BASE_MODEL):
            pass
        rig.launcher.crash(rig.base.model_id)
        await anyio.sleep(10)
        assert rig.running() == [CHAT_MODEL]
        assert rig.server.snapshot().last_error is None
        async with rig.server.lease(BASE_MODEL):
            pass

    on_server(scenario)


def test_who_waits_for_another_model_hears_at_once_that_the_server_has_given_up(
    on_server: ServerRunner,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.set(restart_delays_seconds=[])
        await rig.start()
        rig.launcher.behavior(rig.base.model_id).load_s = 60
        heard: list[Any] = []

        async def ask() -> None:
            try:
                async with rig.server.lease(BASE_MODEL):
                    pass
            except ServerShuttingDown as error:
                heard.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.sleep(1)
            rig.launcher.crash(rig.chat.model_id)
            await anyio.sleep(1)
            assert (rig.status, len(heard)) == ("error", 1)
            assert rig.launcher.running == {}

    on_server(scenario)


def test_a_request_under_way_hears_of_the_crash(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        heard: list[Any] = []
        async with rig.server.lease(None) as replica:
            rig.launcher.crash(rig.chat.model_id, "It broke.")
            await replica.ended()
            heard.append(replica.lost_reason)
        assert heard == ["It broke."]

    on_server(scenario)


def test_a_restart_waits_for_the_load_that_took_its_memory(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        rig.launcher.behavior(rig.base.model_id).load_s = 20
        rig.launcher.crash(rig.chat.model_id)
        served, got = anyio.Event(), list[Any]()
        served.set()
        async with anyio.create_task_group() as group:
            await anyio.sleep(0.1)
            group.start_soon(rig.hold_request, BASE_MODEL, served, got)
            await anyio.sleep(60)
        assert got == [BASE_MODEL]
        assert (rig.status, rig.ready()) == ("running", {CHAT_MODEL})

    on_server(scenario)


@pytest.mark.parametrize("steps", range(12))
def test_the_last_crash_beside_a_switch_leaves_a_settled_status(on_server: ServerRunner, steps: int) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.set(restart_delays_seconds=[])
        await rig.start()
        rig.launcher.crash(rig.chat.model_id)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        await rig.switch()
        assert (rig.status, rig.ready()) == ("running", {BASE_MODEL})

    on_server(scenario)
