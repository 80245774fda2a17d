"""Switch: beside the old model or in its place, and what is left of it when it fails or is interrupted."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from foundrylocal.errors import (
    FoundryLocalError,
    ModelNotDownloaded,
    PortInUse,
    ServerStartFailed,
    SystemExhausted,
)
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.server.rig import PORT, ROOM_FOR_ONE, ServerRig, ServerRunner


def test_beside_the_old_model_nobody_waits_and_no_answer_is_cut(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        done, got = anyio.Event(), list[Any]()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, None, done, got)
            await anyio.sleep(0.1)
            operation = await rig.begin_switch()
            group.start_soon(rig.hold_request, None, done, got)
            await anyio.sleep(0.1)
            assert got == [CHAT_MODEL, CHAT_MODEL]
            await operation.result()
            group.start_soon(rig.hold_request, None, done, got)
            await anyio.sleep(100)
            assert got == [CHAT_MODEL, CHAT_MODEL, BASE_MODEL]
            assert rig.running() == sorted([CHAT_MODEL, BASE_MODEL])
            done.set()
        await anyio.sleep(1)
        assert rig.running() == [BASE_MODEL]

    on_server(scenario)


def test_in_place_of_the_old_model_requests_wait_and_get_the_new_one(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        done, late, got = anyio.Event(), anyio.Event(), list[Any]()
        late.set()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, None, done, [])
            await anyio.sleep(0.1)
            operation = await rig.begin_switch()
            await anyio.sleep(1)
            group.start_soon(rig.hold_request, None, late, got)
            await anyio.sleep(1)
            assert (got, rig.status) == ([], "switching")
            done.set()
            await operation.result()
        assert got == [BASE_MODEL]
        assert rig.running() == [BASE_MODEL]

    on_server(scenario)


def test_a_failed_switch_in_place_brings_the_old_model_back(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start(options={"parallel": 7})
        rig.launcher.behavior(rig.base.model_id).fails_with = "no such architecture"
        with pytest.raises(ServerStartFailed) as caught:
            await rig.switch(port=PORT + 1)
        assert f"The previous model '{CHAT_MODEL}' is still serving requests." in str(caught.value.details)
        replica = rig.pool.get(rig.chat)
        assert replica is not None
        assert (replica.spec.parallel, replica.is_current) == (7, True)
        assert rig.ports.open_now == [PORT]

    on_server(scenario)


def test_when_neither_model_loads_the_status_is_error_and_the_port_is_free(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        for model in (rig.chat, rig.base):
            rig.launcher.behavior(model.model_id).fails_with = "no"
        with pytest.raises(ServerStartFailed):
            await rig.switch()
        await anyio.sleep(1)
        assert (rig.status, rig.ports.open_now, rig.launcher.running) == ("error", [], {})
        rig.launcher.behavior(rig.chat.model_id).fails_with = None
        await rig.start()

    on_server(scenario)


def test_a_shortage_while_the_old_model_comes_back_is_no_reason_to_give_up(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        rig.launcher.behavior(rig.base.model_id).fails_with = "no"
        rig.launcher.behavior(rig.chat.model_id).raises = SystemExhausted("Too many open files")
        with pytest.raises(ServerStartFailed):
            await rig.switch()
        assert rig.status == "running"
        rig.launcher.behavior(rig.chat.model_id).raises = None
        async with rig.server.lease(None) as replica:
            assert replica.model is rig.chat

    on_server(scenario)


def test_a_switch_that_is_refused_at_once_changes_nothing(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.ports.taken.add(9)
        for error, name, port in (
            (PortInUse, BASE_MODEL, 9),
            (ModelNotDownloaded, "Qwen2.5-0.5B-Instruct-Q8_0-GGUF", None),
        ):
            with pytest.raises(error):
                await rig.begin_switch(name, port=port)
            assert (rig.status, rig.running(), rig.ports.open_now) == ("running", [CHAT_MODEL], [PORT])

    on_server(scenario)


def test_a_switch_moves_to_another_port_only_when_it_worked(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        assert (await rig.switch(port=PORT + 1)).port == PORT + 1
        assert rig.ports.open_now == [PORT + 1]

    on_server(scenario)


def test_a_switch_from_stopped_or_error_starts(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert (await rig.switch()).model.simple_name == BASE_MODEL
        for _ in range(4):
            rig.launcher.crash(rig.base.model_id)
            await anyio.sleep(20)
        assert rig.status == "error"
        await rig.switch(CHAT_MODEL)
        assert rig.status == "running"

    on_server(scenario)


def test_a_switch_back_calls_back_the_one_that_still_answers(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        first = rig.pool.get(rig.chat)
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, None, done, [])
            await anyio.sleep(0.1)
            await rig.switch(BASE_MODEL)
            await rig.switch(CHAT_MODEL)
            assert rig.pool.get(rig.chat) is first
            done.set()
        await anyio.sleep(1)
        assert rig.running() == [CHAT_MODEL]

    on_server(scenario)


def test_a_switch_to_the_same_model_reloads_it_only_with_other_options(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        first = rig.pool.get(rig.chat)
        await rig.switch(CHAT_MODEL)
        assert rig.pool.get(rig.chat) is first
        await rig.switch(CHAT_MODEL, options={"parallel": 9})
        second = rig.pool.get(rig.chat)
        assert second is not None
        assert second.spec.parallel == 9
        await anyio.sleep(1)
        assert len(rig.launcher.running) == 1

    on_server(scenario)


@pytest.mark.parametrize("room", [ROOM_FOR_ONE, 4 * ROOM_FOR_ONE])
@pytest.mark.parametrize("who", ["old", "new"])
def test_a_crash_during_a_switch_leaves_a_server_that_runs(
    on_server: ServerRunner, room: int, who: str
) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = room
        await rig.start()
        operation = await rig.begin_switch()
        await anyio.sleep(0.5)
        rig.launcher.crash((rig.chat if who == "old" else rig.base).model_id)
        try:
            await operation.result()
        except FoundryLocalError:
            assert who == "new"
        await anyio.sleep(30)
        assert rig.status == "running"
        assert rig.running() == [CHAT_MODEL if who == "new" else BASE_MODEL]
        async with rig.server.lease(None):
            pass

    on_server(scenario)


def test_a_switch_waits_for_an_unload(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, None, done, [])
            await anyio.sleep(0.1)
            group.start_soon(rig.server.unload_all)
            await anyio.sleep(0.1)
            group.start_soon(rig.switch)
            await anyio.sleep(1)
            assert rig.status == "running"
            done.set()
        assert rig.running() == [BASE_MODEL]

    on_server(scenario)


def test_a_stop_does_not_wait_for_the_return_of_the_old_model(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        rig.launcher.behavior(rig.base.model_id).fails_with = "a bad file"
        rig.launcher.behavior(rig.chat.model_id).load_s = 100
        operation = await rig.begin_switch()
        await anyio.sleep(5)
        assert (rig.status, rig.running()) == ("switching", [CHAT_MODEL])
        began = anyio.current_time()
        assert await rig.server.stop() == "Server stopped successfully"
        assert anyio.current_time() - began < 1
        with pytest.raises(ServerStartFailed):
            await operation.result()

    on_server(scenario)


def test_in_place_of_an_old_model_that_is_loading_after_a_crash(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        rig.launcher.total_bytes = ROOM_FOR_ONE
        await rig.start()
        rig.launcher.behavior(rig.chat.model_id).load_s = 20
        rig.launcher.crash(rig.chat.model_id)
        await anyio.sleep(5)
        assert rig.running() == [CHAT_MODEL]
        await rig.switch()
        assert (rig.status, rig.running()) == ("running", [BASE_MODEL])

    on_server(scenario)
