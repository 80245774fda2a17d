"""The token of a cluster: whoever has it may run code on every node.

Invariant: it is in one file that only the user can read, and reaches Ray by that file's path, so that it is in no
process argument, no environment and no log.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

_NAME = "cluster-token"
_FORMAT = re.compile(r"[A-Za-z0-9._~+/=-]{32,256}")
_MAX_BYTES = 1024
_RANDOM_BYTES = 32


def token_path(state: Path) -> Path:
    """Where the token of this home is, or would be."""
    return state / _NAME


def read_token(state: Path) -> str | None:
    """The token of this home; None when there is none, or the file holds something else. Raises OSError."""
    try:
        with token_path(state).open("rb") as file:
            text = file.read(_MAX_BYTES).decode("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return text if _FORMAT.fullmatch(text) else None


def find_token(state: Path) -> Path | None:
    """The token's file if there is a usable token in it. Raises OSError."""
    return token_path(state) if read_token(state) else None


def load_or_make_token(state: Path) -> Path:
    """The token's file, made when there is none; readable by the user alone. Raises OSError."""
    if read_token(state) is None:
        save_token(state, secrets.token_hex(_RANDOM_BYTES))
    elif not is_private(token_path(state)):
        os.chmod(token_path(state), 0o600)  # noqa: PTH101 - someone widened the mode
    return token_path(state)


def save_token(state: Path, text: str) -> None:
    """Replace the token. Raises ValueError when the text is not a token, OSError."""
    if not _FORMAT.fullmatch(text):
        raise ValueError("a token has 32 to 256 letters, digits and '._~+/=-', on one line")
    path = token_path(state)
    sweep_leftovers(path)
    write_atomically(path, text.encode() + b"\n", mode=0o600)


def is_private(path: Path) -> bool:
    """Whether only the user can read the file. Raises OSError."""
    return sys.platform == "win32" or not path.stat().st_mode & 0o077
