"""The typed client against a real service: what the service answers fits the shapes that the client promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from foundrylocal.client import AsyncFoundryLocal, FoundryLocal
from foundrylocal.client.errors import ConflictError, NotFoundError, ServerNotRunning
from foundrylocal.wire.events import StateEvent
from foundrylocal.wire.server import StartOptions
from tests.running import BASE_MODEL, CHAT_MODEL, CHAT_MODEL_ID, Service

WORKFLOWS = Path(__file__).with_name("client_workflows.py")
RUN_TIMEOUT_S = 60.0


def test_the_published_workflows_in_thirty_lines(service: Service) -> None:
    assert len(WORKFLOWS.read_text("utf-8").splitlines()) <= 33
    done = subprocess.run(
        [sys.executable, str(WORKFLOWS), CHAT_MODEL, BASE_MODEL],
        env={**os.environ, "FOUNDRYLOCAL_URL": service.root},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "word0 word1" in done.stdout
    assert f"now {BASE_MODEL}\n" in done.stdout
    assert f"on disk ['{BASE_MODEL}', '{CHAT_MODEL}']\n" in done.stdout or "on disk" in done.stdout
    assert service.get("/models/downloaded").json()["total_count"] == 1


def test_every_answer_fits_its_shape(service: Service) -> None:
    with FoundryLocal(service.root) as client:
        with pytest.raises(ServerNotRunning):
            client.gateway()
        with client.start_stream(CHAT_MODEL, port=0, options=StartOptions(context_size=1024)) as operation:
            messages = [event.message for event in operation]
            assert operation.result().loaded_model_id == CHAT_MODEL_ID
        assert messages[:2] == ["Checking if model is downloaded...", "Model found locally"]
        with pytest.raises(ConflictError) as caught:
            client.start(CHAT_MODEL)
        assert caught.value.code == "server_already_running"
        assert client.status().options is not None
        assert client.plan(BASE_MODEL).fits
        assert client.models.show(CHAT_MODEL).gguf is not None
        assert client.models.load(BASE_MODEL).loaded_model_id
        assert client.models.loaded().total_count == 2
        assert client.models.unload(BASE_MODEL).success
        assert client.models.verify(BASE_MODEL).is_sound
        assert client.models.importable().total_count >= 0
        assert client.machine().models[0].model == CHAT_MODEL
        assert client.engines().current == "built-in"
        assert "foundrylocal" in client.metrics()
        assert client.openai_models().data
        assert client.markdown("**a**").nodes
        assert client.downloads.list().total_count == 0
        assert client.downloads.cancel(CHAT_MODEL).message == "Download is not running"
        assert client.prompt_cache.list().limit_bytes > 0
        assert client.prompt_cache.clear().success
        assert client.models.unload_all().success
        assert client.stop().message == "Server stopped successfully"


def test_what_is_saved_fits_its_shape(service: Service) -> None:
    with FoundryLocal(service.root) as client:
        assert client.update_settings(queue_size=7)["queue_size"] == 7
        assert client.update_settings(defaults=True)["queue_size"] == 64
        assert client.presets.save(CHAT_MODEL, temperature=0.2).saved == {"temperature": 0.2}
        assert client.presets.show(CHAT_MODEL).effective["temperature"] == 0.2
        assert client.presets.reset(CHAT_MODEL).saved == {}
        created = client.keys.add("alice", models=[CHAT_MODEL], requests_per_minute=3)
        assert created.key.startswith("fl-")
        assert [key.name for key in client.keys.list().keys] == ["alice"]
        assert client.keys.remove("alice").success
        assert client.requests.list(limit=5).requests == []
        with pytest.raises(NotFoundError):
            client.requests.show("req-0")


def test_changes_arrive_while_a_program_waits_for_them(service: Service) -> None:
    async def watch() -> list[str]:
        seen: list[str] = []
        async with AsyncFoundryLocal(service.root) as client, anyio.create_task_group() as group:
            group.start_soon(client.start, CHAT_MODEL)
            async for change in client.events():
                if isinstance(change, StateEvent):
                    seen.append(change.data.status)
                    if change.data.status == "running":
                        break
        return seen

    async def bounded() -> list[str]:
        with anyio.fail_after(RUN_TIMEOUT_S):
            return await watch()

    assert anyio.run(bounded)[-1] == "running"
