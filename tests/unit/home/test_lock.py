"""The lock of a home: looking at it tells whether a service runs, and disturbs none that starts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from filelock import FileLock

from foundrylocal.home.lock import (
    LOCK_NAME,
    LOOKS_TAKE_S,
    HomeInUse,
    HomeUnusable,
    hold_home,
    is_home_held,
)


def test_a_held_home_is_seen_and_refused_to_others(tmp_path: Path) -> None:
    assert not is_home_held(tmp_path)
    with hold_home(tmp_path):
        assert is_home_held(tmp_path)
        with pytest.raises(HomeInUse), hold_home(tmp_path):
            pass
    assert (tmp_path / LOCK_NAME).exists()
    assert not is_home_held(tmp_path)


def test_a_look_does_not_keep_a_service_from_starting(tmp_path: Path) -> None:
    look = FileLock(tmp_path / LOCK_NAME, timeout=0, mode=0o600, thread_local=False)
    look.acquire()
    threading.Timer(LOOKS_TAKE_S / 4, look.release).start()
    with hold_home(tmp_path):
        pass


def test_a_lock_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).mkdir()
    with pytest.raises(HomeUnusable):
        is_home_held(tmp_path)
