"""Child processes that fetch: starting them, reading their output, ending them.

Invariant: when its `running` block is left for whatever reason, a child and its whole process group are gone. When
the service itself dies, the child's stdin closes, and the child ends itself (`guard`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

from foundrylocal.errors import DownloadFailed
from foundrylocal.kit.exhaustion import require_room_for_process

REAP_S = 5.0
MAX_LINE_BYTES = 64 * 1024


@asynccontextmanager
async def running(
    module: str,
    arguments: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Run one of this package's modules in its own process; stdout and stderr are one stream, stdin is a pipe."""
    command = [sys.executable, "-P", "-m", module, *arguments]
    try:
        require_room_for_process()
        process = await anyio.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, "PYTHONUTF8": "1", **(environment or {})},
            start_new_session=sys.platform != "win32",
            creationflags=_flags(),
        )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DownloadFailed(f"The download process could not be started: {reason}.") from error
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(REAP_S):
            _kill(process)
            await process.aclose()


def _flags() -> int:
    if sys.platform == "win32":
        quiet = subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        return subprocess.CREATE_NEW_PROCESS_GROUP | quiet
    return 0


def _kill(process: Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


async def lines(stream: ByteReceiveStream | None, *, silence_s: float) -> AsyncGenerator[str, None]:
    """The lines of a child's output until it ends.

    Raises TimeoutError after `silence_s` without a byte. A line over MAX_LINE_BYTES is split.
    """
    if stream is None:
        return
    rest = b""
    while True:
        try:
            with anyio.fail_after(silence_s):
                chunk = await stream.receive()
        except anyio.EndOfStream:
            break
        *complete, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace")
        if len(rest) > MAX_LINE_BYTES:
            yield rest.decode("utf-8", "replace")
            rest = b""
    if rest:
        yield rest.decode("utf-8", "replace")
