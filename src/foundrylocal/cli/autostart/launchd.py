"""launchd of macOS: the property list of the service, as an agent of one user or a daemon, and `launchctl`."""

from __future__ import annotations

import os
import plistlib
import sys
from pathlib import Path
from typing import Any

from foundrylocal.cli.autostart.definition import RESTART_AFTER_S, STOP_TIMEOUT_S, Definition, State
from foundrylocal.cli.autostart.tools import call_tool, remove_definition, require_tool, write_definition
from foundrylocal.cli.failure import Failure

LABEL = "local.foundrylocal"
_NEXT = "foundrylocal serve --detach"


def property_list(definition: Definition, output: Path, user: str | None) -> bytes:
    """The property list; `output` gets what the service prints, and a daemon runs as `user`."""
    values: dict[str, Any] = {
        "Label": LABEL,
        "ProgramArguments": list(definition.program),
        "RunAtLoad": True,
        # A service that exits without an error was shut down on purpose and stays down.
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": max(10, RESTART_AFTER_S),
        "ExitTimeOut": STOP_TIMEOUT_S,
        "Umask": 0o077,
        "StandardOutPath": str(output),
        "StandardErrorPath": str(output),
    }
    if definition.environment:
        values["EnvironmentVariables"] = definition.environment
    if user is not None:
        values["UserName"] = user
    return plistlib.dumps(values, sort_keys=False)


def _user_id() -> int:
    if sys.platform == "win32":
        return -1
    return os.getuid()


class Launchd:
    """The agent of this user, or the daemon of the machine."""

    def __init__(self, output: Path, *, is_system: bool) -> None:
        self._output = output
        self._is_system = is_system
        self._domain = "system" if is_system else f"gui/{_user_id()}"

    @property
    def path(self) -> Path:
        folder = Path("/Library/LaunchDaemons") if self._is_system else Path.home() / "Library/LaunchAgents"
        return folder / f"{LABEL}.plist"

    def install(self, definition: Definition, *, start: bool) -> None:
        write_definition(self.path, property_list(definition, self._output, self._user()))
        call_tool("launchctl", "bootout", f"{self._domain}/{LABEL}")  # an earlier definition
        if start:
            self._bootstrap()

    def _user(self) -> str | None:
        """Who a daemon runs as: never root."""
        if not self._is_system:
            return None
        user = os.environ.get("SUDO_USER")
        if not user or user == "root":
            raise Failure(
                "The daemon needs an account to run as, and that must not be root",
                None,
                "run it by sudo from that account: sudo foundrylocal service install --system",
                exit_code=2,
            )
        return user

    def _bootstrap(self) -> None:
        require_tool(_NEXT, "launchctl", "bootstrap", self._domain, str(self.path))

    def uninstall(self) -> bool:
        call_tool("launchctl", "bootout", f"{self._domain}/{LABEL}")
        return remove_definition(self.path)

    def start(self) -> None:
        if not self._is_known():
            self._bootstrap()
        require_tool(_NEXT, "launchctl", "kickstart", f"{self._domain}/{LABEL}")

    def stop(self) -> None:
        if self._is_known():
            call_tool("launchctl", "kill", "SIGTERM", f"{self._domain}/{LABEL}")

    def _is_known(self) -> bool:
        return call_tool("launchctl", "print", f"{self._domain}/{LABEL}").returncode == 0

    def state(self) -> State:
        done = call_tool("launchctl", "print", f"{self._domain}/{LABEL}")
        is_running = done.returncode == 0 and "state = running" in done.stdout
        return State(self.path.exists(), is_running, "running" if is_running else "not running")
