"""Start: its lines, its refusals, what a failure leaves, and everything that may come in between."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from foundrylocal.errors import (
    InsufficientMemory,
    ModelLoading,
    ModelNotDownloaded,
    ModelNotFound,
    OperationCancelled,
    OperationInProgress,
    PortInUse,
    ServerAlreadyRunning,
    ServerShuttingDown,
    ServerStartFailed,
    ServerStartTimeout,
)
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.pool.rig import MB
from tests.unit.server.rig import PORT, ServerRig, ServerRunner, lines


def test_a_start_reports_the_published_lines_and_runs(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        operation = await rig.begin()
        assert rig.status == "starting"
        info = await operation.result()
        assert (info.port, info.model.simple_name, info.api_key) == (PORT, CHAT_MODEL, "fl-key")
        assert info.endpoint == f"http://127.0.0.1:{PORT}/v1"
        assert lines(operation) == [
            "Checking if model is downloaded...",
            "Model found locally",
            "Starting FoundryLocal server...",
            "Waiting for server to be ready...",
            "Server health check passed",
        ]
        now = rig.server.snapshot()
        assert (now.status, now.health.is_healthy, now.last_error) == ("running", True, None)
        assert rig.launcher.probes <= 1, "the first health check is the launcher's"

    on_server(scenario)


def test_a_start_is_refused_before_anything_happens(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        with pytest.raises(ModelNotFound):
            await rig.begin("no-such-model")
        with pytest.raises(ModelNotDownloaded):
            await rig.begin("Qwen2.5-0.5B-Instruct-Q8_0-GGUF")
        rig.ports.taken.add(PORT)
        with pytest.raises(PortInUse):
            await rig.begin()
        assert rig.is_clean()
        assert rig.launcher.history == []
        rig.ports.taken.clear()
        await rig.start()
        with pytest.raises(ServerAlreadyRunning):
            await rig.begin(BASE_MODEL)

    on_server(scenario)


def test_a_start_that_fails_leaves_nothing_and_the_next_one_works(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        behavior = rig.launcher.behavior(rig.chat.model_id)
        behavior.fails_with = "no such architecture"
        with pytest.raises(ServerStartFailed):
            await rig.start()
        assert rig.is_clean()
        assert rig.server.snapshot().last_error is not None
        behavior.fails_with = None
        behavior.load_s = 1000
        began = anyio.current_time()
        with pytest.raises(ServerStartTimeout):
            await rig.start(timeout_s=7)
        assert anyio.current_time() - began < 8
        assert rig.is_clean()
        rig.launcher.total_bytes = 10 * MB
        with pytest.raises(InsufficientMemory):
            await rig.start()
        assert rig.is_clean()
        rig.launcher.total_bytes = 100 * MB
        behavior.load_s = 1
        await rig.start()
        assert rig.server.snapshot().last_error is None

    on_server(scenario)


def test_nothing_else_begins_while_it_starts_and_requests_are_told_so(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        operation = await rig.begin()
        for other in (rig.begin(), rig.begin_switch(), rig.server.unload_all()):
            with pytest.raises(OperationInProgress):
                await other
        with pytest.raises(ModelLoading):
            async with rig.server.lease(None):
                pass
        await operation.result()

    on_server(scenario)


def test_of_two_starts_at_once_one_wins(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        outcomes: list[Any] = []

        async def start(name: str) -> None:
            try:
                outcomes.append((await rig.start(name)).model.simple_name)
            except OperationInProgress as error:
                outcomes.append(error.code)

        async with anyio.create_task_group() as group:
            for name in (CHAT_MODEL, BASE_MODEL, CHAT_MODEL):
                group.start_soon(start, name)
        assert sorted(outcomes) == sorted([CHAT_MODEL, "operation_in_progress", "operation_in_progress"])
        assert len(rig.launcher.running) == 1

    on_server(scenario)


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.5, 0.999, 1.0])
def test_a_stop_cancels_a_start(on_server: ServerRunner, after_s: float) -> None:
    async def scenario(rig: ServerRig) -> None:
        operation = await rig.begin()
        await anyio.sleep(after_s)
        assert await rig.server.stop() == "Server stopped successfully"
        assert rig.is_clean()
        if after_s < 1:
            with pytest.raises(OperationCancelled):
                await operation.result()
        assert rig.server.snapshot().last_error is None, "a start that was stopped has not failed"
        await rig.start()

    on_server(scenario)


def test_a_caller_that_leaves_cancels_no_start(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        with anyio.move_on_after(0.5):
            await rig.start()
        await anyio.sleep(1)
        assert rig.status == "running"

    on_server(scenario)


def test_a_worker_that_crashes_while_it_loads_fails_the_start_with_its_reason(
    on_server: ServerRunner,
) -> None:
    async def scenario(rig: ServerRig) -> None:
        operation = await rig.begin()
        await anyio.sleep(0.5)
        rig.launcher.crash(rig.chat.model_id, "It ran out of memory.")
        with pytest.raises(ServerStartFailed) as caught:
            await operation.result()
        assert caught.value.details == "It ran out of memory."
        assert rig.is_clean()

    on_server(scenario)


def test_a_slow_load_reports_how_far_it_has_come(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.behavior(rig.chat.model_id).load_s = 5
        operation = await rig.begin()
        await operation.result()
        assert operation.latest is not None
        assert operation.latest.measure is not None
        assert operation.latest.measure.percent == 99.0

    on_server(scenario)


def test_a_start_after_crashes_begins_with_a_clean_count(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        for _ in range(3):
            rig.launcher.crash(rig.chat.model_id)
            await anyio.sleep(20)
        await rig.server.stop()
        await rig.start()
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(3)
        assert rig.server.snapshot().loaded is not None

    on_server(scenario)


def test_with_no_server_there_is_no_lease(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        with pytest.raises(ServerShuttingDown):
            async with rig.server.lease(CHAT_MODEL):
                pass

    on_server(scenario)


def test_after_an_error_a_model_in_memory_is_taken_as_it_is(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await _fail_beside_another(rig)
        operation = await rig.begin(BASE_MODEL)
        await operation.result()
        assert (rig.status, rig.running()) == ("running", [BASE_MODEL])
        assert len([line for line in rig.launcher.history if BASE_MODEL in line and "launch" in line]) == 1
        assert lines(operation)[-1] == "Server health check passed"

    on_server(scenario)


def test_after_an_error_a_start_that_fails_leaves_nothing_in_memory(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await _fail_beside_another(rig)
        rig.launcher.behavior(rig.chat.model_id).fails_with = "a bad file"
        with pytest.raises(ServerStartFailed):
            await rig.start()
        assert rig.is_clean()

    on_server(scenario)


async def _fail_beside_another(rig: ServerRig) -> None:
    """The server's own model has crashed too often, and another one is in memory."""
    rig.set(restart_delays_seconds=[])
    await rig.start()
    async with rig.server.lease(BASE_MODEL):
        pass
    rig.launcher.crash(rig.chat.model_id)
    await anyio.sleep(1)
    assert (rig.status, rig.running()) == ("error", [BASE_MODEL])


def test_a_stop_while_a_failed_start_closes_its_port(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.behavior(rig.chat.model_id).fails_with = "a bad file"
        operation = await rig.begin()
        await anyio.sleep(1.1)
        assert (rig.launcher.running, rig.status, rig.ports.open_now) == ({}, "starting", [PORT])
        assert await rig.server.stop() == "Server stopped successfully"
        assert rig.is_clean()
        with pytest.raises(ServerStartFailed):
            await operation.result()

    on_server(scenario)
