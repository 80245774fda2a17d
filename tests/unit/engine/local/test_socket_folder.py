"""The folder for the workers' sockets: private, short, locked, and there whenever it is needed."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest

from foundrylocal.engine.local.socket_folder import MAX_PATH_BYTES, SocketFolder


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime folder of the user with a short path, as XDG_RUNTIME_DIR names one."""
    folder = Path(tempfile.mkdtemp(prefix="rt", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def test_row_34_a_folder_that_was_removed_is_made_again(tmp_path: Path, runtime: Path) -> None:
    sockets = SocketFolder(tmp_path / "record")
    first = sockets.ensure()
    assert sockets.ensure() == first
    shutil.rmtree(first)
    second = sockets.ensure()
    assert second.is_dir()
    assert (tmp_path / "record").read_text() == str(second)
    sockets.remove()
    assert not second.exists()
    assert not (tmp_path / "record").exists()


@pytest.mark.parametrize("replaced_by", ["link", "file", "open folder"])
def test_row_34_what_took_its_place_is_not_used(tmp_path: Path, runtime: Path, replaced_by: str) -> None:
    sockets = SocketFolder(tmp_path / "record")
    first = sockets.ensure()
    first.rmdir()
    if replaced_by == "link":
        first.symlink_to(tmp_path)
    elif replaced_by == "file":
        first.write_text("")
    else:
        first.mkdir()
        first.chmod(0o777)
    second = sockets.ensure()
    assert second != first
    assert stat.S_IMODE(second.lstat().st_mode) == 0o700


def test_it_lies_in_the_users_runtime_folder(tmp_path: Path, runtime: Path) -> None:
    assert SocketFolder(tmp_path / "record").ensure().parent == runtime


@pytest.mark.parametrize("why", ["missing", "relative", "open to others", "too long"])
def test_a_runtime_folder_that_is_not_fit_is_not_used(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "missing":
        runtime.rmdir()
    elif why == "relative":
        monkeypatch.setenv("XDG_RUNTIME_DIR", "run")
    elif why == "open to others":
        runtime.chmod(0o755)
    else:
        runtime = runtime / ("x" * MAX_PATH_BYTES)
        runtime.mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    folder = SocketFolder(tmp_path / "record").ensure()
    assert folder.parent != runtime
    assert len(os.fsencode(folder)) <= MAX_PATH_BYTES


def test_a_temporary_folder_with_a_long_path_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * MAX_PATH_BYTES)
    long.mkdir()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    sockets = SocketFolder(tmp_path / "record")
    assert len(os.fsencode(sockets.ensure())) <= MAX_PATH_BYTES
    sockets.remove()


def test_it_is_locked_as_long_as_it_is_used(tmp_path: Path, runtime: Path) -> None:
    sockets = SocketFolder(tmp_path / "record")
    folder = sockets.ensure()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):  # what systemd-tmpfiles tries before it cleans
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sockets.remove()
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def test_what_a_crash_left_is_swept_and_nothing_else(tmp_path: Path, runtime: Path) -> None:
    left = SocketFolder(tmp_path / "record").ensure()
    (left / "1.sock").write_text("")
    SocketFolder(tmp_path / "record").ensure()
    assert not left.exists()
    other = tmp_path / "precious"
    other.mkdir()
    (tmp_path / "record").write_text(str(other))
    SocketFolder(tmp_path / "record").ensure()
    assert other.exists()


def test_no_descriptor_is_left_when_it_is_made_again(tmp_path: Path, runtime: Path) -> None:
    sockets = SocketFolder(tmp_path / "record")
    sockets.ensure()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(5):
        shutil.rmtree(sockets.ensure())
    sockets.ensure()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
