"""The health monitor: who is healthy, who is ended, and what does not count against a worker."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from foundrylocal.errors import SystemExhausted
from foundrylocal.server.health import MAX_MISSED, MIN_TIMEOUT_S
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.server.rig import ServerRig, ServerRunner


def test_a_silent_worker_is_ended_after_three_missed_probes_and_restarted(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(health_period_s=2)
        first = rig.pool.get(rig.chat)
        behavior = rig.launcher.behavior(rig.chat.model_id)
        behavior.is_silent = True
        await anyio.sleep(2 * MIN_TIMEOUT_S)
        assert len(rig.launcher.running) == 1, "one or two missed probes are none too many"
        await anyio.sleep(2 * MIN_TIMEOUT_S)
        assert first is not None
        assert first.is_gone
        behavior.is_silent = False
        await anyio.sleep(10)
        assert (rig.status, rig.ready()) == ("running", {CHAT_MODEL})

    on_server(scenario)


def test_an_answer_in_between_resets_the_count(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(health_period_s=2)
        first = rig.pool.get(rig.chat)
        for _ in range(10):
            rig.launcher.behavior(rig.chat.model_id).is_silent = True
            await anyio.sleep((MAX_MISSED - 1) * MIN_TIMEOUT_S)
            rig.launcher.behavior(rig.chat.model_id).is_silent = False
            await anyio.sleep(10)
        assert rig.pool.get(rig.chat) is first

    on_server(scenario)


def test_healthy_is_one_that_answered_within_three_periods(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert not rig.server.snapshot().health.is_healthy
        await rig.start(health_period_s=1)
        assert rig.server.snapshot().health.is_healthy
        rig.launcher.behavior(rig.chat.model_id).is_silent = True
        await anyio.sleep(5)
        now = rig.server.snapshot()
        assert (now.health.is_healthy, now.is_degraded) == (False, True)
        rig.launcher.behavior(rig.chat.model_id).is_silent = False
        await anyio.sleep(5)
        assert rig.server.snapshot().health.is_healthy

    on_server(scenario)


def test_one_whose_worker_is_gone_is_not_healthy(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(0.1)
        assert not rig.server.snapshot().health.is_healthy

    on_server(scenario)


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_a_shortage_of_our_own_is_no_missed_probe(on_server: ServerRunner, seconds: float) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        first = rig.pool.get(rig.chat)
        rig.launcher.behavior(rig.chat.model_id).raises = SystemExhausted("Too many open files")
        await anyio.sleep(100)
        rig.launcher.behavior(rig.chat.model_id).raises = None
        await anyio.sleep(seconds)
        assert (rig.status, rig.pool.get(rig.chat)) == ("running", first)

    on_server(scenario)


def test_a_late_event_loop_is_no_missed_probe(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(health_period_s=2)
        first = rig.pool.get(rig.chat)
        loop: Any = asyncio.get_running_loop()
        rig.launcher.behavior(rig.chat.model_id).is_silent = True
        for _ in range(10):
            await anyio.sleep(0.5)
            loop.jumping.now += 2 * MIN_TIMEOUT_S  # as if something had held the loop
            await anyio.sleep(0.5)
            rig.launcher.behavior(rig.chat.model_id).is_silent = True
        assert rig.pool.get(rig.chat) is first

    on_server(scenario)


def test_one_that_is_leaving_and_does_not_answer_is_ended_too(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        old = rig.pool.get(rig.chat)
        assert old is not None
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, None, anyio.Event(), [])
            await anyio.sleep(0.1)
            await rig.switch()
            assert old.is_leaving
            rig.launcher.behavior(rig.chat.model_id).is_silent = True
            await anyio.sleep(20)
            assert old.is_gone
            assert (rig.status, rig.ready()) == ("running", {BASE_MODEL})
            group.cancel_scope.cancel()

    on_server(scenario)


def test_a_new_period_holds_at_once(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(health_period_s=3600)
        await anyio.sleep(100)
        await rig.server.stop()
        await rig.start(health_period_s=1)
        before = rig.launcher.probes
        await anyio.sleep(10)
        assert rig.launcher.probes - before >= 9

    on_server(scenario)


def test_the_silence_of_one_worker_says_nothing_about_another(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(health_period_s=0.5)
        async with rig.server.lease(BASE_MODEL):
            pass
        rig.launcher.behavior(rig.base.model_id).is_silent = True
        for _ in range(100):
            await anyio.sleep(0.1)
            assert rig.server.snapshot().health.is_healthy

    on_server(scenario)
