"""Stop: from every status, with callers at the same time, and with requests under way."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from foundrylocal.errors import OperationCancelled, OperationInProgress, ServerShuttingDown
from tests.unit.server.rig import PORT, ROOM_FOR_ONE, ServerRig, ServerRunner


def test_a_stop_of_nothing_says_so(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert await rig.server.stop() == "Server is not running"

    on_server(scenario)


def test_callers_share_one_stop(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        messages: list[str] = []

        async def stop() -> None:
            messages.append(await rig.server.stop())

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(stop)
            await anyio.sleep(0.05)
            assert rig.status == "stopping"
            with pytest.raises(OperationInProgress):
                await rig.begin()
        assert messages == ["Server stopped successfully"] * 3
        assert len([line for line in rig.launcher.history if line.startswith("stop")]) == 1

    on_server(scenario)


def test_a_caller_that_leaves_cancels_no_stop(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        with anyio.move_on_after(0.05):
            await rig.server.stop()
        await anyio.sleep(1)
        assert rig.is_clean()

    on_server(scenario)


def test_a_stop_does_not_wait_for_requests(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, None, done, [])
            await anyio.sleep(0.1)
            began = anyio.current_time()
            await rig.server.stop()
            assert anyio.current_time() - began < 1
            assert rig.is_clean()
            done.set()

    on_server(scenario)


def test_a_stop_ends_loads_on_demand(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        got: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, rig.base.model_id, anyio.Event(), got)
            await anyio.sleep(0.5)
            await rig.server.stop()
        assert isinstance(got[0], ServerShuttingDown)

    on_server(scenario)


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.5, 1.0, 1.05])
def test_a_stop_cancels_a_switch(on_server: ServerRunner, after_s: float) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        operation = await rig.begin_switch(port=PORT + 1)
        await anyio.sleep(after_s)
        assert await rig.server.stop() == "Server stopped successfully"
        assert rig.is_clean()
        with pytest.raises(OperationCancelled):
            await operation.result()

    on_server(scenario)


def test_a_stop_cancels_an_unload(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        done = anyio.Event()
        caught: list[Exception] = []

        async def unload() -> None:
            try:
                await rig.server.unload_all()
            except OperationCancelled as error:
                caught.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, None, done, [])
            await anyio.sleep(0.1)
            group.start_soon(unload)
            await anyio.sleep(0.1)
            await rig.server.stop()
            assert rig.is_clean()
            done.set()
        assert len(caught) == 1

    on_server(scenario)


def test_a_stop_during_a_recovery_ends_it(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(0.5)
        await rig.server.stop()
        await anyio.sleep(100)
        assert rig.is_clean()

    on_server(scenario)


def test_after_a_failure_a_stop_clears_what_is_left(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        await rig.pool.ensure(rig.base, None)
        for _ in range(4):
            rig.launcher.crash(rig.chat.model_id)
            await anyio.sleep(20)
        assert rig.status == "error"
        assert await rig.server.stop() == "Server is not running"
        assert rig.is_clean()

    on_server(scenario)
