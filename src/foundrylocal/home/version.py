"""Which version of FoundryLocal used a home last, and whether this one can read its files.

Invariant: a home whose files this version cannot read is refused before anything in it is read or changed.
HOME_FORMAT is raised only by a version that writes files that earlier ones cannot read; new settings and fields do
not count.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from foundrylocal import __version__
from foundrylocal.errors import FoundryLocalError
from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

FILE_NAME = "version.json"
HOME_FORMAT = 1
_MAX_BYTES = 4096


class HomeTooNew(FoundryLocalError):
    """A newer version of FoundryLocal wrote files that this version cannot read."""

    def __init__(self, state: Path, version: str, home_format: int) -> None:
        super().__init__(
            f"This home belongs to a newer FoundryLocal, {version}",
            f"Its files have format {home_format}, and this version reads formats up to {HOME_FORMAT}. Nothing was "
            f"changed. Install {version} or newer again, or give this version its own folder with "
            f"FOUNDRYLOCAL_HOME (now {state}).",
        )


def claim_home(state: Path) -> None:
    """Record that this version uses the home now; blocking. Raises HomeTooNew and changes nothing.

    A record that is missing or damaged, as in homes of versions before 0.1.0, means the first format.
    """
    path = state / FILE_NAME
    sweep_leftovers(path)
    version, home_format = _read(path)
    if home_format > HOME_FORMAT:
        raise HomeTooNew(state, version, home_format)
    if (version, home_format) != (__version__, HOME_FORMAT):
        record = json.dumps({"version": __version__, "format": HOME_FORMAT}).encode() + b"\n"
        with contextlib.suppress(OSError):  # a full disk is no reason not to run
            write_atomically(path, record, mode=0o600)


def _read(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            record = json.loads(file.read(_MAX_BYTES))
        version, home_format = record["version"], record["format"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return "", 0
    is_valid = isinstance(version, str) and isinstance(home_format, int)
    return (version[:40], home_format) if is_valid else ("", 0)
