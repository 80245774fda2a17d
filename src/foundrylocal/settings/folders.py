"""Where things are kept: one home folder when FOUNDRYLOCAL_HOME says so, the platform's own otherwise."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APP = "foundrylocal"


def _home() -> Path | None:
    value = os.environ.get("FOUNDRYLOCAL_HOME")
    return Path(value).expanduser().absolute() if value else None


def default_cache_dir() -> Path:
    """The model cache: `~/.cache/foundrylocal` on every platform, as published."""
    home = _home()
    return home / "cache" if home else Path.home() / ".cache" / APP


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of this service; `create` makes them, private to the user."""

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
        for folder in (self.config, self.state, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def logs(self) -> Path:
        return self.state / "logs"
