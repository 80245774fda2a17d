"""Where the service of a home answers, recorded in its state folder so that the CLI finds it on any port.

Invariant: only the process that holds the lock of the home writes or removes the record.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

_NAME = "service.json"
_MAX_BYTES = 4096


def forget_address(state: Path) -> None:
    """Remove the record of a service that was killed."""
    with contextlib.suppress(OSError):
        sweep_leftovers(state / _NAME)
        (state / _NAME).unlink(missing_ok=True)


@contextlib.contextmanager
def recorded_address(state: Path, url: str) -> Iterator[None]:
    """Keep the address on record inside the block; a full disk costs the record, not the service."""
    record = json.dumps({"url": url, "pid": os.getpid()}).encode()
    with contextlib.suppress(OSError):
        write_atomically(state / _NAME, record, mode=0o600)
    try:
        yield
    finally:
        forget_address(state)


@dataclass(frozen=True, slots=True)
class RunningService:
    """Where the service of a home answers, and its process."""

    url: str
    pid: int


def find_service(state: Path) -> RunningService | None:
    """The running service of this home; None when none is running."""
    try:
        with (state / _NAME).open("rb") as file:
            record = json.loads(file.read(_MAX_BYTES))
        url, pid = record["url"], record["pid"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if not isinstance(url, str) or not isinstance(pid, int) or not _is_running(pid):
        return None
    return RunningService(url, pid)


def find_address(state: Path) -> str | None:
    """The address of the running service of this home; None when none is running."""
    found = find_service(state)
    return found.url if found else None


def _is_running(pid: int) -> bool:
    import psutil

    return pid > 0 and bool(psutil.pid_exists(pid))
