"""The engine's devices are asked of a child; what it answers, and when it does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
import pytest

from foundrylocal.engine.devices import Device, DeviceKind
from foundrylocal.engine.llama_cpp.capabilities import FAILURE_REUSE_S, REUSE_S, EngineDevices

GPU = {"name": "A GPU", "kind": "gpu", "memory_bytes": 8, "free_bytes": 6}
CPU = {"name": "A CPU", "kind": "cpu", "memory_bytes": 8, "free_bytes": 6}


def child(text: str, counter: Path) -> tuple[str, ...]:
    code = f"open({str(counter)!r}, 'a').write('x'); {text}"
    return (sys.executable, "-c", code)


@pytest.mark.parametrize(("devices", "asked"), [([CPU], 1), ([GPU], 2), ([], 1)])
def test_only_a_gpu_is_asked_again(tmp_path: Path, devices: list[object], asked: int) -> None:
    counter, now = tmp_path / "asked", [0.0]

    async def look() -> None:
        known = EngineDevices(child(f"print({json.dumps(devices)!r})", counter), lambda: now[0])
        first = await known.list()
        assert [device.kind for device in first] == [device["kind"] for device in devices]  # type: ignore[index]
        assert await known.list() == first
        now[0] += REUSE_S + 1
        await known.list()

    anyio.run(look)
    assert counter.read_text() == "x" * asked


@pytest.mark.parametrize("text", ["print('[{')", "raise SystemExit(3)", "print('[{\"name\": 1}]')"])
def test_an_engine_that_cannot_say_has_no_devices(tmp_path: Path, text: str) -> None:
    assert anyio.run(EngineDevices(child(text, tmp_path / "asked"), lambda: 0.0).list) == ()


def test_an_engine_that_could_not_say_is_asked_again_after_a_while(tmp_path: Path) -> None:
    broken, now = tmp_path / "broken", [0.0]
    broken.touch()
    text = f"import os; os.path.exists({str(broken)!r}) and os._exit(1); print({json.dumps([GPU])!r})"

    async def look() -> None:
        known = EngineDevices(child(text, tmp_path / "asked"), lambda: now[0])
        assert await known.list() == ()
        broken.unlink()
        assert await known.list() == ()
        now[0] += FAILURE_REUSE_S
        assert [device.kind for device in await known.list()] == [DeviceKind.GPU]

    anyio.run(look)


def test_an_engine_that_cannot_be_run_has_no_devices() -> None:
    assert anyio.run(EngineDevices(("/nowhere/at/all",), lambda: 0.0).list) == ()


def test_the_built_in_engine_reports_this_machine() -> None:
    devices = anyio.run(EngineDevices(clock=lambda: 0.0).list)
    assert all(isinstance(device, Device) and device.memory_bytes > 0 for device in devices)
    assert DeviceKind.CPU in [device.kind for device in devices]
