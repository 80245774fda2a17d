"""A program that uses the client passes `mypy --strict`, and one that uses it wrongly does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import REPOSITORY

PROGRAM = REPOSITORY / "tests" / "api" / "client_workflows.py"
WRONG = """
from foundrylocal.client import FoundryLocal
client = FoundryLocal()
client.start(7)
reveal_type(client.models.download_stream("m").result().file_size_bytes)
client.status().nothing
"""
CHECK_TIMEOUT_S = 280


def check(*programs: Path) -> str:
    """What mypy says, with the cache of `make check`: the types of openai alone take a minute without one."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *map(str, programs)],
        cwd=REPOSITORY,
        env={**os.environ, "MYPYPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=CHECK_TIMEOUT_S,
    )
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_mypy_strict_accepts_the_workflows_and_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    found = check(PROGRAM, wrong)
    assert "client_workflows.py" not in found, found
    assert 'Argument 1 to "start" of "Server" has incompatible type "int"; expected "str"' in found
    assert 'Revealed type is "int"' in found.replace("builtins.int", "int")
    assert '"StatusAnswer" has no attribute "nothing"' in found
