"""Codex and Claude Code complete a turn with a tool against the gateway, and can reach nothing else.

`make clients` fetches them from npm. They run in a network namespace that has loopback only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent_session import NOTE
from tests.running import REPOSITORY

PROGRAMS = REPOSITORY / ".test-agents" / "node_modules" / ".bin"
SESSION_TIMEOUT_S = 240
ALONE = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]

pytestmark = pytest.mark.timeout(SESSION_TIMEOUT_S + 30)


@pytest.fixture(scope="module", autouse=True)
def namespace() -> None:
    """Skip where no network namespace can be made: not on Linux, or not allowed."""
    try:
        done = subprocess.run([*ALONE, "true"], capture_output=True, timeout=30, text=True)
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode != 0:
        pytest.skip(f"no network namespace can be made: {done.stderr.strip()[:200]}")


def turn(agent: str, folder: Path) -> dict[str, Any]:
    """What came of one turn of the agent."""
    if not (PROGRAMS / agent).exists():
        pytest.skip(f"not installed: {agent}; make clients installs it")
    session = [sys.executable, "-m", "tests.e2e.agent_session", agent, str(PROGRAMS / agent), str(folder)]
    done = subprocess.run(
        [*ALONE, *session], cwd=REPOSITORY, timeout=SESSION_TIMEOUT_S, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def events(seen: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in seen["stdout"].splitlines() if line.startswith("{")]


def test_codex(tmp_path: Path) -> None:
    seen = turn("codex", tmp_path)
    assert seen["code"] == 0, seen
    items = [event["item"] for event in events(seen) if event["type"] == "item.completed"]
    (call,) = [item for item in items if item["type"] == "command_execution"]
    assert NOTE in call["aggregated_output"]
    (answer,) = [item for item in items if item["type"] == "agent_message"]
    assert answer["text"] == "I have read the note."


def test_claude_code(tmp_path: Path) -> None:
    seen = turn("claude", tmp_path)
    assert seen["code"] == 0, seen
    last = events(seen)[-1]
    assert (last["type"], last["is_error"], last["result"]) == ("result", False, "I have read the note.")
    assert NOTE in json.dumps([event for event in events(seen) if event["type"] == "user"])
