"""Why a service that a verb started did not stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foundrylocal.cli.background_service import ServiceProcess


def ended(folder: Path, printed: str, code: int) -> ServiceProcess:
    output = folder / "service-output.log"
    output.write_text(f"of an earlier one\n{printed}")
    process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])
    process.wait(30)
    return ServiceProcess(process, output, len("of an earlier one\n"))


@pytest.mark.parametrize(
    ("line", "code", "what", "why", "next_step"),
    [
        (
            "Port 9500 is already in use by x (pid 1). Choose another port, or 0 for any free one.",
            1,
            "Port 9500 is already in use by x (pid 1)",
            "Choose another port, or 0 for any free one.",
            "foundrylocal run --port 0",
        ),
        (
            "Another FoundryLocal service is already running with this home. Stop it first.",
            2,
            "Another FoundryLocal service is already running with this home",
            "Stop it first.",
            "foundrylocal status",
        ),
        (
            "The service cannot run: No space left on device.",
            1,
            "The service cannot run: No space left on device",
            None,
            "correct that, then run the same command again",
        ),
    ],
)
def test_what_serve_said_is_what_happened(
    tmp_path: Path, line: str, code: int, what: str, why: str | None, next_step: str
) -> None:
    failure = ended(tmp_path, f"a warning\nfoundrylocal: {line}\n", code).why_it_ended("foundrylocal run")
    assert (failure.what, failure.why, failure.next_step, failure.exit_code) == (what, why, next_step, code)


def test_without_a_word_the_output_is_named(tmp_path: Path) -> None:
    failure = ended(tmp_path, "Traceback\nKeyError: 1\n", 1).why_it_ended("foundrylocal run")
    assert failure.what == "The service ended immediately with exit code 1"
    assert failure.why == "Traceback\nKeyError: 1"
    assert str(tmp_path / "service-output.log") in str(failure.next_step)
