"""The saved settings as a file: read and checked as a whole, replaced as a whole.

A name that this version does not know, saved by another one, is ignored and reported; a value that is not valid makes
the whole file invalid. Invariant: whoever changes the file holds its lock from reading to writing, so that a change
by the command line and one by the service are both kept.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from foundrylocal import __version__
from foundrylocal.kit.atomic_file import write_atomically
from foundrylocal.settings.schema import Settings

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

NAME = "config.json"
MAX_FILE_BYTES = 256 * 1024
LOCK_TIMEOUT_S = 10.0
MAX_SHOWN_NAME = 60
MAX_SHOWN_NAMES = 10

Stamp = tuple[int, int, int]
"""Differs when the file was replaced."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file. Raises OSError (filelock.Timeout) when another process keeps it too long."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder")  # the lock would make it
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_TIMEOUT_S, mode=0o600):
        yield


def read_saved(path: Path) -> dict[str, Any]:
    """What is saved; empty when there is no file. Raises OSError, ValueError when it is not valid."""
    if path.is_symlink():
        raise ValueError("it is a symbolic link")
    if not path.exists():
        return {}
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError("it is too large")
    saved = json.loads(data)
    if not isinstance(saved, dict):
        raise ValueError("it is not a JSON object")
    known = _without_unknown(saved)
    # As strict as POST /config: a value that an update would refuse must not be accepted from the file.
    Settings.model_validate(known, strict=True)
    return known


def _without_unknown(saved: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(name[:MAX_SHOWN_NAME] for name in saved if name not in Settings.model_fields)
    if unknown:
        log.warning(
            "Ignored saved settings that FoundryLocal %s does not know: %s. Another version saved them; they are "
            "removed from %s by the next change of a setting.",
            __version__,
            ", ".join(unknown[:MAX_SHOWN_NAMES]),
            NAME,
        )
    return {name: value for name, value in saved.items() if name in Settings.model_fields}


def encode_saved(saved: Mapping[str, Any]) -> bytes:
    """The settings as the file has them."""
    return json.dumps(saved, indent=2, sort_keys=True).encode() + b"\n"


def change_engines(folder: Path, name: str, path: str | None) -> None:
    """Add the engine of that name, replace it, or remove it (None) in the saved settings; blocking.

    Raises OSError, and ValueError when the name or path, or what is saved already, is not valid.
    """
    file = folder / NAME
    with locked(file):
        saved = read_saved(file)
        engines = dict(saved.get("engines") or {})
        engines.pop(name, None)
        if path is not None:
            engines[name] = path
        saved["engines"] = engines
        Settings.model_validate(saved, strict=True)
        write_atomically(file, encode_saved(saved), mode=0o600)


def change_setting(folder: Path, name: str, value: object) -> None:
    """Save one setting, or remove it (None), so that the service has it from its next start; blocking.

    Raises OSError, and ValueError when the value, or what is saved already, is not valid.
    """
    file = folder / NAME
    with locked(file):
        saved = read_saved(file)
        saved.pop(name, None)
        if value is not None:
            saved[name] = value
        Settings.model_validate(saved, strict=True)
        write_atomically(file, encode_saved(saved), mode=0o600)


def stamp_of(path: Path) -> Stamp | None:
    """The file's stamp; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
