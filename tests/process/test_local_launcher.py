"""The launcher of this machine with a worker that is a real process: what a kill says, and what counts as free."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from foundrylocal.engine.engines import Engines
from foundrylocal.engine.llama_cpp.capabilities import EngineDevices
from foundrylocal.engine.llama_cpp.engine import BuiltInEngine
from foundrylocal.engine.local import launcher as local
from foundrylocal.engine.local.launcher import LocalLauncher
from foundrylocal.engine.local.process import KILLED
from foundrylocal.engine.replica import ReplicaSpec, ReplicaState, Room
from foundrylocal.errors import ServerStartTimeout
from foundrylocal.wire.load_options import EffectiveOptions
from tests.running import FAKE_WORKER

MB = 1024 * 1024


def run(
    state: Path, scenario: Callable[[LocalLauncher], Awaitable[None]], engines: Engines | None = None
) -> None:
    async def main() -> None:
        launcher = LocalLauncher(state, engines or Engines(BuiltInEngine(FAKE_WORKER)))
        async with anyio.create_task_group() as group:
            await group.start(launcher.run)
            with anyio.fail_after(60):
                await scenario(launcher)
            group.cancel_scope.cancel()

    anyio.run(main)


def spec(folder: Path, file_mb: int, memory_mb: int) -> ReplicaSpec:
    model = folder / "model.gguf"
    model.write_bytes(b"GGUF")
    return ReplicaSpec("one", "a/b", model, None, file_mb * MB, memory_mb * MB, EffectiveOptions())


def test_row_03_a_worker_that_the_service_ended_does_not_blame_the_memory(tmp_path: Path) -> None:
    async def scenario(launcher: LocalLauncher) -> None:
        with launcher.events() as events:
            await launcher.launch(spec(tmp_path, 1, 2))
            await launcher.wait_ready("one", 30)
            await launcher.kill("one")
            reasons = [event.reason async for event in _until_failed(events)]
        assert reasons[-1] == KILLED

    run(tmp_path, scenario)


def test_the_room_has_the_gpus_that_the_engine_reported_and_nobody_is_asked_for_them(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    gpus = [
        {"name": "A", "kind": "gpu", "memory_bytes": 8, "free_bytes": 6},
        {"name": "B", "kind": "integrated", "memory_bytes": 5, "free_bytes": 4},
        {"name": "C", "kind": "gpu", "memory_bytes": 3, "free_bytes": 2},
    ]
    code = f"open({str(asked)!r}, 'a').write('.'); print({json.dumps(gpus)!r})"
    devices = EngineDevices((sys.executable, "-c", code))
    engines = Engines(BuiltInEngine(FAKE_WORKER, devices))

    async def scenario(launcher: LocalLauncher) -> None:
        [room] = await launcher.rooms()
        assert room.gpus == ()
        assert not asked.exists()
        await engines.report(None)  # as a plan does
        for of in (None, spec(tmp_path, 1, 2)):
            [room] = await launcher.rooms(of)
            assert room.gpus == (6, 2)
        [node] = await launcher.node_statuses()
        assert node.gpus == (6, 2)

    run(tmp_path, scenario, engines)


def test_of_a_model_on_a_gpu_only_what_stays_here_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(launcher: LocalLauncher) -> None:
        await launcher.launch(spec(tmp_path, file_mb=40_000, memory_mb=600))
        await launcher.wait_ready("one", 30)
        assert await launcher.rooms(reserve_bytes=100 * MB) == [Room("", (10_000 - 100 - 600) * MB)]

    monkeypatch.setattr(local, "available_bytes", lambda: 10_000 * MB)
    run(tmp_path, scenario)


def _with_flags(folder: Path, flags: str) -> ReplicaSpec:
    made = spec(folder, 1, 2)
    made.model_path.with_name("model.gguf.flags").write_text(flags)
    return made


def test_a_load_that_makes_progress_may_take_longer_than_one_that_stalls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(launcher: LocalLauncher) -> None:
        await launcher.launch(_with_flags(tmp_path, "--progress-for 6"))
        began = anyio.current_time()
        await launcher.wait_ready("one")
        assert anyio.current_time() - began > local.STALL_TIMEOUT_S

    monkeypatch.setattr(local, "STALL_TIMEOUT_S", 3.0)
    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("flags", "timeout_s", "limit_s"), [("--never-ready", None, 1.0), ("--progress-for 300", 2.0, 2.0)]
)
def test_row_04_a_load_ends_without_progress_or_by_the_callers_own_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, timeout_s: float | None, limit_s: float
) -> None:
    async def scenario(launcher: LocalLauncher) -> None:
        await launcher.launch(_with_flags(tmp_path, flags))
        with pytest.raises(ServerStartTimeout) as timeout:
            await launcher.wait_ready("one", timeout_s)
        assert f"Timeout: {limit_s:g} seconds" in str(timeout.value.details)

    monkeypatch.setattr(local, "STALL_TIMEOUT_S", 1.0)
    run(tmp_path, scenario)


async def _until_failed(events):  # type: ignore[no-untyped-def]
    async for event in events:
        yield event
        if event.state is ReplicaState.FAILED:
            return
