"""The gateway's key: created once, stored in a file that only the user can read, and stable across restarts."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

KEY_NAME = "gateway.key"
_FORMAT = re.compile(r"fl-[A-Za-z0-9_-]{32,128}")
_MAX_BYTES = 1024


def load_or_make_key(state_dir: Path) -> str:
    """Return the key of this home, creating it if there is none or the file is damaged. Raises OSError."""
    path = state_dir / KEY_NAME
    sweep_leftovers(path)
    key = _read(path)
    if _FORMAT.fullmatch(key):
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            os.chmod(path, 0o600)  # noqa: PTH101 - someone widened the mode
        return key
    key = f"fl-{secrets.token_urlsafe(32)}"
    write_atomically(path, key.encode() + b"\n", mode=0o600)
    return key


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
