"""The lock of a home: at most one service uses a state folder.

Invariant: the operating system releases the lock when the process ends, however it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from foundrylocal.errors import FoundryLocalError
from foundrylocal.home.folders import HomeUnusable
from foundrylocal.home.version import claim_home

LOCK_NAME = "service.lock"
# A command that only looks whether the lock is held has it for a moment.
LOOKS_TAKE_S = 0.2


class HomeInUse(FoundryLocalError):
    """Another service uses this home."""

    def __init__(self, state: Path) -> None:
        super().__init__(
            "Another FoundryLocal service is already running with this home",
            f"Stop it first, or give this one its own folder with FOUNDRYLOCAL_HOME (now {state}).",
        )


def is_home_held(state: Path) -> bool:
    """Whether a service uses this state folder. Raises HomeUnusable."""
    if not (state / LOCK_NAME).exists():
        return False
    lock = FileLock(state / LOCK_NAME, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        return True
    except (OSError, NotImplementedError) as error:
        raise HomeUnusable(state / LOCK_NAME, getattr(error, "strerror", None) or str(error)) from None
    lock.release()
    return False


@contextmanager
def hold_home(state: Path) -> Iterator[None]:
    """Hold the lock of this state folder.

    Raises HomeInUse, HomeTooNew when a newer version wrote what this one cannot read, or HomeUnusable when the lock
    cannot be written.
    """
    lock = FileLock(state / LOCK_NAME, timeout=LOOKS_TAKE_S, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise HomeInUse(state) from None
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HomeUnusable(state / LOCK_NAME, reason) from None
    try:
        claim_home(state)
        yield
    finally:
        lock.release()
