"""What the system's service manager is to run, whichever manager that is."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

NAME = "foundrylocal"
DESCRIPTION = "FoundryLocal API"
# The service bounds its own shutdown to a few seconds.
STOP_TIMEOUT_S = 30
RESTART_AFTER_S = 2
# The exit code of a service that refuses its settings; another start would end in the same way.
REFUSED_EXIT_CODE = 2


@dataclass(frozen=True, slots=True)
class Definition:
    """The command, and the environment that it needs beyond the manager's own."""

    program: tuple[str, ...]
    environment: dict[str, str]
    is_system: bool

    @classmethod
    def of_this_program(cls, *, is_system: bool) -> Definition:
        """This installation, with the home of this command line."""
        home = os.environ.get("FOUNDRYLOCAL_HOME")
        environment = {"FOUNDRYLOCAL_HOME": str(Path(home).expanduser().absolute())} if home else {}
        return cls((sys.executable, "-m", "foundrylocal", "serve"), environment, is_system)


@dataclass(frozen=True, slots=True)
class State:
    """What the manager says about the service."""

    is_installed: bool
    is_running: bool
    summary: str


class Manager(Protocol):
    """The service manager of this system. Each call raises Failure."""

    @property
    def path(self) -> Path:
        """The file that defines the service."""

    def install(self, definition: Definition, *, start: bool) -> None: ...
    def uninstall(self) -> bool:
        """Whether there was something to remove."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def state(self) -> State: ...
