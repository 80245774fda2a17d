"""The property list for launchd, and the order of the calls of `launchctl`."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path

import pytest

from foundrylocal.cli.autostart.definition import Definition
from foundrylocal.cli.autostart.launchd import LABEL, Launchd, property_list
from foundrylocal.cli.failure import Failure

DEFINITION = Definition(("/opt/python", "-m", "foundrylocal", "serve"), {"FOUNDRYLOCAL_HOME": "/h"}, False)
LAUNCHCTL = """#!/bin/sh
echo "$@" >> "$0.calls"
[ "$1" != print ] || { [ -e "$0.running" ] && echo "state = running"; }
"""


@pytest.fixture
def launchctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tool = tmp_path / "bin" / "launchctl"
    tool.parent.mkdir()
    tool.write_text(LAUNCHCTL)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tool


def test_the_property_list_restarts_after_failures_only() -> None:
    found = plistlib.loads(property_list(DEFINITION, Path("/log"), None))
    assert found["ProgramArguments"] == list(DEFINITION.program)
    assert found["EnvironmentVariables"] == {"FOUNDRYLOCAL_HOME": "/h"}
    assert (found["RunAtLoad"], found["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert "UserName" not in found
    assert plistlib.loads(property_list(DEFINITION, Path("/log"), "ann"))["UserName"] == "ann"


def test_install_state_stop_and_uninstall(launchctl: Path, tmp_path: Path) -> None:
    manager = Launchd(tmp_path / "log", is_system=False)
    manager.install(DEFINITION, start=True)
    assert manager.path == tmp_path / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    assert not manager.state().is_running
    Path(f"{launchctl}.running").touch()
    assert manager.state().is_running
    manager.stop()
    assert manager.uninstall() is True
    assert manager.uninstall() is False
    domain = f"gui/{os.getuid()}"
    assert [line for line in Path(f"{launchctl}.calls").read_text().splitlines() if "print" not in line] == [
        f"bootout {domain}/{LABEL}",
        f"bootstrap {domain} {manager.path}",
        f"kill SIGTERM {domain}/{LABEL}",
        f"bootout {domain}/{LABEL}",
        f"bootout {domain}/{LABEL}",
    ]


def test_a_daemon_never_runs_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    with pytest.raises(Failure) as caught:
        Launchd(tmp_path / "log", is_system=True).install(DEFINITION, start=True)
    assert "must not be root" in caught.value.what
