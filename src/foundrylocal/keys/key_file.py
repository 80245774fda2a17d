"""The file of the keys: names, hashes and rules, readable by the user alone.

Invariant: the file is replaced as a whole. One that cannot be read is set aside and reported, and no key in it works:
a key that should not work is worse than one that has to be created again.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from foundrylocal.keys.api_key import ApiKey
from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

FILE_NAME = "keys.json"
MAX_FILE_BYTES = 4 * 1024 * 1024


class KeyFile:
    """The saved keys of one home."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE_NAME

    def load(self) -> list[ApiKey]:
        """The saved keys; none when there is no file or it is damaged. Blocking."""
        sweep_leftovers(self._path)
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                raise ValueError("it is too large")
            saved = [ApiKey.from_dict(entry) for entry in json.loads(data)["keys"]]
            if sys.platform != "win32" and self._path.stat().st_mode & 0o077:
                os.chmod(self._path, 0o600)  # noqa: PTH101 - someone widened the mode
            return saved
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            self._set_aside(error)
            return []

    def save(self, keys: Iterable[ApiKey]) -> None:
        """Replace the file. Raises OSError and leaves the old file in place. Blocking."""
        data = json.dumps({"keys": [key.to_dict() for key in keys]}, indent=1).encode() + b"\n"
        write_atomically(self._path, data, mode=0o600)

    def _set_aside(self, error: Exception) -> None:
        aside = self._path.with_name(f"keys.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        try:
            self._path.replace(aside)
            where = f"it was set aside as {aside.name}"
        except OSError as failure:
            where = f"it could not be set aside ({failure.strerror})"
        # The kind of the error and not its text, which may quote the file.
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        log.error(
            "Cannot read the saved keys (%s); %s. None of them works: create them again with "
            "'foundrylocal keys add'",
            reason,
            where,
        )
