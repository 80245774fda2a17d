"""The systemd unit that docs/how-to/run-at-boot.md shows is one that systemd accepts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.running import REPOSITORY

PROGRAM = "%h/.local/bin/foundrylocal"
VERIFY_TIMEOUT_S = 30


def verify(unit: str, folder: Path) -> str:
    """What systemd has to say about the unit; empty if nothing."""
    file = folder / "foundrylocal.service"
    file.write_text(unit, "utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=VERIFY_TIMEOUT_S
    )
    return done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "run-at-boot.md").read_text("utf-8")
    unit = page.partition("```ini\n")[2].partition("```")[0]
    assert f"ExecStart={PROGRAM} serve\n" in unit
    installed = unit.replace(PROGRAM, "/bin/true")
    assert "foundrylocal.service" not in verify(installed, tmp_path)
    assert "Restarts" in verify(installed.replace("Restart=", "Restarts="), tmp_path)
