"""Runs a binary with one argument, such as `--version`, and returns what it prints.

Invariant: the wait and the text are bounded, and when it returns nothing that the binary started is running.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc

from foundrylocal.engine.local.platform import processes
from foundrylocal.kit.exhaustion import require_room_for_process

MAX_TEXT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What a binary printed, on stdout and stderr together.

    `exit_code` is None for one that was ended because it was too slow, and for one that could not be started;
    `start_error` is then the system's reason.
    """

    text: str
    exit_code: int | None
    start_error: str | None = None


async def ask_binary(
    path: Path, argument: str, timeout_s: float, environment: Mapping[str, str]
) -> ProbeAnswer:
    """Run `path argument` for at most `timeout_s`. Raises OSError when it cannot be started."""
    require_room_for_process()
    process = await anyio.open_process(
        [str(path), argument],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        **processes.spawn_options(),
    )
    text = bytearray()
    exit_code: int | None = None
    try:
        processes.adopt(process.pid)
        with anyio.move_on_after(timeout_s):
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            await _read(process.stdout, text)
            exit_code = await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            processes.kill(process.pid)
            await process.wait()
            await process.aclose()
    return ProbeAnswer(text.decode("utf-8", "replace"), exit_code)


async def _read(stream: anyio.abc.ByteReceiveStream, into: bytearray) -> None:
    """Read to the end; of more than MAX_TEXT_BYTES the rest is thrown away, so that the binary never blocks."""
    async for block in stream:
        into += block[: MAX_TEXT_BYTES - len(into)]


def probe_environment(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the binary's own folder on the library path: release builds keep their libraries there."""
    if sys.platform == "win32":
        return dict(environment)  # Windows looks there by itself
    name = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    parts = [str(path.parent), environment.get(name, "")]
    return {**environment, name: os.pathsep.join(part for part in parts if part)}
