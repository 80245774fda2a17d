"""`foundrylocal service` with a stand-in for systemctl that runs nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from foundrylocal.home.lock import hold_home
from foundrylocal.home.service_address import recorded_address
from tests.fakes.management_api import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$0.calls"
[ "$2" != is-active ] || { cat "$0.state"; grep -qx active "$0.state"; }
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tool = tmp_path / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(SYSTEMCTL)
    tool.chmod(0o755)
    Path(f"{tool}.state").write_text("inactive\n")
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FOUNDRYLOCAL_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "state").mkdir(parents=True)
    return tool


def test_install_waits_for_the_address_and_keeps_the_home(systemctl: Path, tmp_path: Path, run: Run) -> None:
    unit = tmp_path / "config" / "systemd" / "user" / "foundrylocal.service"
    with recorded_address(tmp_path / "home" / "state", "http://127.0.0.1:9777"):
        code, out, err = run("service", "install")
    assert (code, err) == (0, "")
    assert f"Installed: {unit}\n" in out
    assert "http://127.0.0.1:9777" in out
    assert "loginctl enable-linger" in out
    assert f"FOUNDRYLOCAL_HOME={tmp_path / 'home'}" in unit.read_text()
    code, out, _ = run("service", "uninstall")
    assert code == 0 and not unit.exists()
    assert "Models, settings, keys and logs are still there." in out
    assert "is not installed" in run("service", "uninstall")[1]


def test_settings_of_the_environment_are_not_taken_over_in_silence(
    systemctl: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDRYLOCAL_PORT", "1")
    out = run("service", "install", "--no-start")[1]
    assert "Not copied from your environment: FOUNDRYLOCAL_PORT." in out
    assert "restart" not in Path(f"{systemctl}.calls").read_text()


def test_a_service_that_was_started_by_hand_is_not_run_twice(
    systemctl: Path, tmp_path: Path, run: Run
) -> None:
    with hold_home(tmp_path / "home" / "state"):
        code, out, err = run("service", "install")
    assert (code, out) == (1, "")
    assert "Next: foundrylocal shutdown" in err
    assert not Path(f"{systemctl}.calls").exists()


def test_status_says_whether_it_runs(systemctl: Path, run: Run) -> None:
    code, out, _ = run("service", "status")
    assert code == 1
    assert "no (foundrylocal service install)" in out and "inactive" in out
    run("service", "install", "--no-start")
    Path(f"{systemctl}.state").write_text("active\n")
    code, out, _ = run("service", "status")
    assert code == 0 and "foundrylocal.service" in out


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_what_is_not_installed_cannot_be_started(systemctl: Path, run: Run, verb: str) -> None:
    code, _, err = run("service", verb)
    assert code == 1
    assert "Next: foundrylocal service install" in err
    run("service", "install", "--no-start")
    assert run("service", verb)[0] == 0
    assert Path(f"{systemctl}.calls").read_text().splitlines()[-1] == f"--user {verb} foundrylocal.service"
