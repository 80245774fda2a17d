"""The system's own tools, run with a bound, and the files that they read."""

from __future__ import annotations

import subprocess
from pathlib import Path

from foundrylocal.cli.failure import Failure

TOOL_TIMEOUT_S = 60.0


def call_tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool, whatever its exit code. Raises Failure if it is missing or hangs."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TOOL_TIMEOUT_S
        )
    except FileNotFoundError:
        raise Failure(
            f"The tool {command[0]} is not installed",
            "No supported service manager (systemd, launchd) was found.",
            "foundrylocal serve --detach",
        ) from None
    except subprocess.TimeoutExpired:
        raise Failure(
            f"`{' '.join(command)}` did not end in {TOOL_TIMEOUT_S:g} s", None, "run that command yourself"
        ) from None


def require_tool(next_step: str, *command: str) -> str:
    """Run a tool; what it printed. Raises Failure with what it said if it failed."""
    done = call_tool(*command)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise Failure(f"`{' '.join(command)}` failed", said or f"exit code {done.returncode}", next_step)
    return done.stdout


def write_definition(path: Path, data: bytes) -> None:
    """Write the file of a service. Raises Failure."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o644)
    except OSError as error:
        raise Failure(
            f"Cannot write {path}",
            error.strerror or str(error),
            "run it as root for --system, or without --system for your own user",
        ) from error


def remove_definition(path: Path) -> bool:
    """Remove the file of a service; whether there was one. Raises Failure."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Failure(
            f"Cannot remove {path}", error.strerror or str(error), "run it as the user who installed it"
        ) from error
    return True
