"""What the keys have used, saved so that a restart resets no limit.

Invariant: a file that is missing or damaged costs the counts of a day at most, never a request.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

FILE_NAME = "keys-usage.json"
MAX_FILE_BYTES = 64 * 1024 * 1024


class UsageFile:
    """The saved counts of one home, by key name."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME
        self._has_failed = False

    def load(self) -> Mapping[str, Any]:
        """The saved counts by key name, not checked yet. Blocking."""
        sweep_leftovers(self._path)
        try:
            with self._path.open("rb") as file:
                saved = json.loads(file.read(MAX_FILE_BYTES))
            return saved if isinstance(saved, dict) else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            log.warning("Cannot read the usage of the keys (%s); counting starts at zero", self._path.name)
            with contextlib.suppress(OSError):
                self._path.unlink()
            return {}

    def save(self, usage: Mapping[str, Any]) -> None:
        """Replace the file; a full disk costs the counts, not the service. Blocking."""
        try:
            write_atomically(self._path, json.dumps(usage).encode(), mode=0o600)
            self._has_failed = False
        except OSError as error:
            if not self._has_failed:  # once, not every few seconds
                log.error("Cannot save the usage of the keys: %s", error.strerror)
            self._has_failed = True
