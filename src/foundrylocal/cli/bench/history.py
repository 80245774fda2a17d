"""The earlier runs of `foundrylocal bench`, in one file of the state folder.

Invariant: at most MAX_RUNS are kept, the newest; a file that cannot be read or written costs the comparison only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from foundrylocal.kit.atomic_file import write_atomically

FILE_NAME = "bench.json"
MAX_RUNS = 100
_MAX_BYTES = 4 * 1024 * 1024

Run = dict[str, Any]


def read_runs(state: Path) -> list[Run]:
    """The runs that are kept, oldest first; blocking."""
    try:
        with (state / FILE_NAME).open("rb") as file:
            runs = json.loads(file.read(_MAX_BYTES))["runs"]
        return [run for run in runs if isinstance(run, dict) and isinstance(run.get("figures"), dict)]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []


def last_of(runs: list[Run], model: str) -> Run | None:
    """The newest run of a model."""
    return next((run for run in reversed(runs) if run["figures"].get("model") == model), None)


def keep_runs(state: Path, runs: list[Run]) -> str | None:
    """Save the newest runs; blocking. Why that failed, or None."""
    data = json.dumps({"runs": runs[-MAX_RUNS:]}, indent=1).encode() + b"\n"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(state / FILE_NAME, data, mode=0o600)
    except OSError as error:
        return error.strerror or str(error)
    return None
