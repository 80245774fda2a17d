"""Unload everything, and one model: while the server runs, with requests, loads and deletes at the same time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.errors import ModelInUse, ModelNotDownloaded
from tests.running import BASE_MODEL, CHAT_MODEL
from tests.unit.server.rig import ServerRig, ServerRunner


def test_the_server_stays_up_and_loads_again_as_it_was_started(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start(options={"parallel": 7})
        await rig.server.unload_all()
        now = rig.server.snapshot()
        assert (now.status, now.current, now.loaded) == ("running", rig.chat, None)
        assert not now.is_degraded
        async with rig.server.lease(None) as replica:
            assert (replica.spec.parallel, replica.is_current) == (7, True)

    on_server(scenario)


def test_callers_share_one_unload_which_waits_for_requests(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        done, ended = anyio.Event(), list[float]()

        async def unload() -> None:
            await rig.server.unload_all()
            ended.append(anyio.current_time())

        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, None, done, [])
            await anyio.sleep(0.1)
            for _ in range(3):
                group.start_soon(unload)
            await anyio.sleep(3)
            assert ended == []
            done.set()
        assert len(ended) == 3
        assert rig.launcher.running == {}

    on_server(scenario)


def test_a_load_that_an_unload_cancelled_is_begun_again_for_its_request(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        done, got = anyio.Event(), list[Any]()
        done.set()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, BASE_MODEL, done, got)
            await anyio.sleep(0.5)
            await rig.server.unload_all()
        assert got == [BASE_MODEL]

    on_server(scenario)


def test_one_model_is_loaded_beside_and_unloaded_again(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        assert await rig.models.load(rig.chat) is not None
        assert rig.status == "running", "a load with no server starts it"
        assert await rig.models.load(rig.base) is not None
        assert rig.ready() == {CHAT_MODEL, BASE_MODEL}
        assert await rig.models.unload(rig.base)
        assert not await rig.models.unload(rig.base)
        with pytest.raises(ModelNotDownloaded):
            await rig.models.load(rig.registry.find("Qwen2.5-0.5B-Instruct-Q8_0-GGUF"))

    on_server(scenario)


def test_an_unload_of_one_goes_on_when_its_caller_leaves(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        replica = await rig.models.load(rig.base)
        assert replica is not None
        done = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(rig.hold_request, BASE_MODEL, done, [])
            await anyio.sleep(0.1)

            async def unload() -> None:
                with anyio.move_on_after(1):
                    await rig.models.unload(rig.base)

            group.start_soon(unload)
            await anyio.sleep(3)
            assert replica.in_flight == 1
            assert not replica.is_gone, "its request is not cut short"
            done.set()
        assert replica.is_gone

    on_server(scenario)


def test_a_model_in_use_is_not_deleted(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        operation = await rig.begin()
        with pytest.raises(ModelInUse):
            await rig.models.delete(rig.chat)
        await operation.result()
        await rig.server.unload_all()
        with pytest.raises(ModelInUse) as own:  # the next request loads it again
            await rig.models.delete(rig.chat)
        assert own.value.message.endswith("is the server's current model")
        assert own.value.details == "Stop the server or switch to another model first."
        async with rig.server.lease(BASE_MODEL):
            with pytest.raises(ModelInUse) as other:
                await rig.models.delete(rig.base)
        assert other.value.message.endswith("is loaded")
        assert str(other.value.details).startswith("Unload it first")

    on_server(scenario)


def test_a_model_that_is_about_to_have_left_can_be_deleted(models_home: Path, tmp_path: Path) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        rig.launcher.behavior(rig.chat.model_id).stop_s = 3.0
        await rig.switch()
        assert rig.launcher.of(rig.chat.model_id), "its worker has not ended yet"
        assert await rig.models.delete(rig.chat) > 0

    home = shutil.copytree(models_home, tmp_path / "models")
    ServerRunner(home, tmp_path)(scenario)


def test_a_model_that_leaves_and_still_answers_is_not_waited_for(on_server: ServerRunner) -> None:
    async def scenario(rig: ServerRig) -> None:
        await rig.start()
        async with rig.server.lease(CHAT_MODEL):
            await rig.switch()
            with anyio.fail_after(1), pytest.raises(ModelInUse):
                await rig.models.delete(rig.chat)

    on_server(scenario)
