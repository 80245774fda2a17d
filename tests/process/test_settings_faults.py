"""Saving the settings, refused or killed at the Nth system call: the old ones or the new ones, never half."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foundrylocal.settings.store import SettingsStore

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

# The Nth is counted for each call by itself, so each has runs of its own.
CALLS = ["write", "fsync", "rename"]
MAX_CALLS = 20
PROGRAM = (
    "import pathlib, sys\n"
    "from foundrylocal.errors import ConfigurationUpdateFailed\n"
    "from foundrylocal.settings.store import SettingsStore\n"
    "try: SettingsStore(pathlib.Path(sys.argv[1])).update({'port': 7})\n"
    "except ConfigurationUpdateFailed: raise SystemExit(3)\n"
)


def _save_with(call: str, fault: str, folder: Path) -> tuple[int, bool]:
    """Save port 7 over port 1 with a fault; the exit code, and whether the fault came to pass."""
    folder.mkdir()
    SettingsStore(folder).update({"port": 1})
    log = folder.parent / "strace.log"
    strace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={call}", "-e", f"inject={call}:{fault}"]
    done = subprocess.run(
        [*strace, sys.executable, "-B", "-c", PROGRAM, str(folder)], capture_output=True, timeout=60
    )
    return done.returncode, "INJECTED" in log.read_text() or "SIGKILL" in log.read_text()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EROFS", "EACCES"])
def test_row_18_a_save_that_is_refused_says_so_and_changes_nothing(
    tmp_path: Path, error: str, call: str
) -> None:
    refused = 0
    for number in range(1, MAX_CALLS):
        folder = tmp_path / str(number)
        code, has_happened = _save_with(call, f"error={error}:when={number}", folder)
        port = SettingsStore(folder).current.port
        if not has_happened:
            assert (code, port) == (0, 7)
            break
        assert (code, port) in ((3, 1), (0, 7))
        refused += code == 3
    assert refused


@pytest.mark.parametrize("call", CALLS)
def test_row_19_a_save_that_is_killed_leaves_the_old_settings_or_the_new(tmp_path: Path, call: str) -> None:
    killed = 0
    for number in range(1, MAX_CALLS):
        folder = tmp_path / str(number)
        code, has_happened = _save_with(call, f"signal=KILL:when={number}", folder)
        port = SettingsStore(folder).current.port
        assert [path.name for path in folder.iterdir() if path.suffix != ".lock"] == ["config.json"]
        if not has_happened:
            assert (code, port) == (0, 7)
            break
        assert port in (1, 7)
        killed += 1
    assert killed
