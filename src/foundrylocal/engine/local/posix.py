"""Processes on Linux and macOS: a worker is the leader of its own group and is ended with all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

HAS_UNIX_SOCKETS = sys.platform != "win32"


def spawn_options() -> dict[str, Any]:
    """A session of its own: Ctrl-C at the terminal reaches the service, which then stops its workers."""
    return {"start_new_session": True}


def terminate(pid: int) -> None:
    """Ask the group to end."""
    _signal(pid, "SIGTERM")


def kill(pid: int) -> None:
    """End the group at once."""
    _signal(pid, "SIGKILL")


def adopt(pid: int) -> None:
    """Nothing to do: the worker asks the kernel itself to end with its parent."""


def _signal(pid: int, name: str) -> None:
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, getattr(signal, name))


def count_out_of_memory_kills() -> int | None:
    """How many processes Linux has ended for lack of memory since it started; None where it is not told."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def describe_exit(code: int) -> str:
    """Why a process ended, for people."""
    if code >= 0:
        return f"The worker exited with code {code}."
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    hint = " The system may have run out of memory." if name == "SIGKILL" else ""
    return f"The worker was killed by {name}.{hint}"
