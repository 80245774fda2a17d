"""The gateway's key: made once, kept in a file that only the user can read, the same after a restart."""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

_FORM = re.compile(r"fl-[A-Za-z0-9_-]{32,128}")


def load_or_make_key(state_dir: Path) -> str:
    """Return the key of this home, making it at first; a damaged file gets a new key. Raises OSError."""
    path = state_dir / "gateway.key"
    sweep_leftovers(path)
    try:
        key = path.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        key = ""
    if _FORM.fullmatch(key):
        if sys.platform != "win32" and path.stat().st_mode & 0o077:
            os.chmod(path, 0o600)  # noqa: PTH101 - narrowing what someone widened
        return key
    key = f"fl-{secrets.token_urlsafe(32)}"
    write_atomically(path, key.encode() + b"\n", mode=0o600)
    return key
