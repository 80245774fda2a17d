"""The units are valid and hardened, and a `systemctl` that fails leaves nothing half done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from foundrylocal.cli.autostart.definition import Definition
from foundrylocal.cli.autostart.systemd import Systemd, unit_text
from foundrylocal.cli.failure import Failure

VERIFY_TIMEOUT_S = 30
HOME = "/home/a b/100%/$HOME"
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$0.calls"
case " $* " in *" $(cat "$0.fails" 2>/dev/null || echo never) "*) echo "it does not run here" >&2; exit 1;; esac
echo active
"""


def definition(*, is_system: bool = False) -> Definition:
    return Definition((sys.executable, "-m", "foundrylocal", "serve"), {"FOUNDRYLOCAL_HOME": HOME}, is_system)


def verified(unit: str, folder: Path) -> str:
    file = folder / "foundrylocal.service"
    file.write_text(unit, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=VERIFY_TIMEOUT_S
    )
    return done.stderr


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze"
)


@needs_systemd
@pytest.mark.parametrize("is_system", [False, True])
def test_systemd_accepts_the_unit(tmp_path: Path, is_system: bool) -> None:
    unit = unit_text(definition(is_system=is_system))
    assert "foundrylocal.service" not in verified(unit, tmp_path)
    assert "Restarts" in verified(unit.replace("Restart=", "Restarts="), tmp_path)


@needs_systemd
def test_the_system_unit_is_hardened(tmp_path: Path) -> None:
    file = tmp_path / "foundrylocal.service"
    file.write_text(unit_text(definition(is_system=True)))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(file)],
        capture_output=True,
        text=True,
        timeout=VERIFY_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout[-600:]


def test_a_home_with_special_marks_is_written_for_systemd() -> None:
    assert 'Environment="FOUNDRYLOCAL_HOME=/home/a b/100%%/$HOME"\n' in unit_text(definition())


def test_the_system_unit_has_a_home_of_its_own_and_no_privileges() -> None:
    lines = unit_text(definition(is_system=True)).splitlines()
    assert "Environment=FOUNDRYLOCAL_HOME=/var/lib/foundrylocal" in lines
    for line in ("DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet="):
        assert line in lines


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the tool that records its calls; a word in `systemctl.fails` makes calls with it fail."""
    tool = tmp_path / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(SYSTEMCTL)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tool


def calls(systemctl: Path) -> list[str]:
    return Path(f"{systemctl}.calls").read_text().splitlines()


def test_install_and_uninstall(systemctl: Path, tmp_path: Path) -> None:
    manager = Systemd(is_system=False)
    manager.install(definition(), start=True)
    assert manager.path == tmp_path / "config" / "systemd" / "user" / "foundrylocal.service"
    assert manager.path.read_text() == unit_text(definition())
    state = manager.state()
    assert (state.is_installed, state.is_running) == (True, True)
    assert manager.uninstall() is True
    assert not manager.path.exists()
    assert manager.uninstall() is False
    unit = "foundrylocal.service"
    assert calls(systemctl) == [
        "--user daemon-reload",
        f"--user enable {unit}",
        f"--user restart {unit}",
        f"--user is-active {unit}",
        f"--user disable --now {unit}",
        "--user daemon-reload",
    ]


def test_without_a_manager_nothing_is_left_of_an_install(systemctl: Path) -> None:
    Path(f"{systemctl}.fails").write_text("daemon-reload")
    manager = Systemd(is_system=False)
    with pytest.raises(Failure) as caught:
        manager.install(definition(), start=True)
    assert caught.value.why == "it does not run here"
    assert "serve --detach" in str(caught.value.next_step)
    assert not manager.path.exists()


def test_a_second_install_that_fails_keeps_the_unit_there_was(systemctl: Path) -> None:
    manager = Systemd(is_system=False)
    manager.install(definition(), start=False)
    Path(f"{systemctl}.fails").write_text("daemon-reload")
    with pytest.raises(Failure):
        manager.install(Definition(("/bin/false",), {}, False), start=False)
    assert manager.path.read_text() == unit_text(definition())


def test_a_start_that_fails_names_the_journal(systemctl: Path) -> None:
    Path(f"{systemctl}.fails").write_text("start")
    with pytest.raises(Failure) as caught:
        Systemd(is_system=False).start()
    assert caught.value.next_step == "see journalctl --user -u foundrylocal"


def test_a_program_that_other_users_cannot_reach_is_no_system_service(
    systemctl: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(Failure) as caught:
        Systemd(is_system=True).install(Definition((str(private / "python"),), {}, True), start=False)
    assert "for all users" in str(caught.value.next_step)


def test_a_system_without_systemctl_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure) as caught:
        Systemd(is_system=False).stop()
    assert "systemctl is not installed" in caught.value.what
