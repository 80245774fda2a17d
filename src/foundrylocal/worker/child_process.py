"""What a worker process does whichever engine it runs: it ends with its parent, leaves no core dump, and keeps its
reports apart from what native code prints."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import IO, Any

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> int:
    """Ask Linux to kill us when our parent ends, whatever we are doing then; returns the parent's pid."""
    parent = os.getppid()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return parent


def is_orphan(parent: int, service: int) -> bool:
    """Whether the service ended before `die_with_parent`. Process 1 adopts orphans, but may be the service."""
    return sys.platform != "win32" and (os.getppid() != parent or (parent == 1 and service != 1))


def keep_files_private() -> None:
    """No core dump of gigabytes when the engine aborts, and no file that others can read."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.umask(0o077)  # saved prompts are for the user alone from their first byte


def take_report_channel() -> IO[str]:
    """Keep the real stdout for our reports and send whatever native code prints there to the log."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    return report


def send_report(channel: IO[str], event: str, **facts: Any) -> None:
    """Write one report as a line; the service reads it at once."""
    channel.write(json.dumps({"event": event, **facts}) + "\n")
    channel.flush()
