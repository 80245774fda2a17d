"""Where files are kept: under FOUNDRYLOCAL_HOME if it is set, otherwise in the platform's own folders.

Invariant: after `create`, nobody but the user can enter the config and state folders.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from foundrylocal.errors import FoundryLocalError

APP = "foundrylocal"
_PRIVATE = 0o700


class HomeUnusable(FoundryLocalError):
    """A folder or file of the home cannot be created, read or written."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"Cannot use {path}",
            f"{reason}. Fix its permissions or free some space, or set FOUNDRYLOCAL_HOME to another folder.",
        )


def _home() -> Path | None:
    value = os.environ.get("FOUNDRYLOCAL_HOME")
    try:
        return Path(value).expanduser().absolute() if value else None
    except (OSError, RuntimeError) as error:
        raise HomeUnusable(Path(value or ""), str(error)) from None


def default_cache_dir() -> Path:
    """The model cache: `~/.cache/foundrylocal` on every platform, as published."""
    home = _home()
    try:
        return home / "cache" if home else Path.home() / ".cache" / APP
    except RuntimeError:  # an account without a home folder, as in some containers
        raise HomeUnusable(Path("~"), "The home folder of this account is unknown") from None


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of this service."""

    config: Path
    state: Path

    @classmethod
    def locate(cls) -> Folders:
        home = _home()
        if home:
            return cls(home / "config", home / "state")
        return cls(
            Path(platformdirs.user_config_dir(APP, appauthor=False)),
            Path(platformdirs.user_state_dir(APP, appauthor=False)),
        )

    def create(self) -> None:
        """Create the folders, or make existing ones private. Raises HomeUnusable."""
        for folder in (self.config, self.state, self.logs):
            try:
                folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
                _make_private(folder)
            except OSError as error:
                raise HomeUnusable(folder, error.strerror or str(error)) from None

    @property
    def logs(self) -> Path:
        return self.state / "logs"


def _make_private(folder: Path) -> None:
    """Take away the access of others. Fails with OSError where another user owns the folder."""
    if sys.platform != "win32" and folder.stat().st_mode & 0o077:
        folder.chmod(_PRIVATE)
