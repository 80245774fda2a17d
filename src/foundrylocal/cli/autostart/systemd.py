"""systemd: the unit of the service, for one user or for the whole system, and `systemctl`.

Both units are hardened as far as GPU drivers allow: these write code at run time and need the devices, so neither
MemoryDenyWriteExecute nor PrivateDevices is set. A user's manager may not change mounts, so only the system's unit
confines the files: there the service runs under its own user account, which exists only while it runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from foundrylocal.cli.autostart.definition import (
    DESCRIPTION,
    NAME,
    REFUSED_EXIT_CODE,
    RESTART_AFTER_S,
    STOP_TIMEOUT_S,
    Definition,
    State,
)
from foundrylocal.cli.autostart.tools import call_tool, remove_definition, require_tool, write_definition
from foundrylocal.cli.failure import Failure

UNIT = f"{NAME}.service"
SYSTEM_HOME = f"/var/lib/{NAME}"
_NO_SYSTEM_MANAGER = "run it as root where systemd runs, or use: foundrylocal serve --detach"
_NO_USER_MANAGER = (
    "log in as this user directly (not through su or sudo), or use: foundrylocal serve --detach"
)

_HARDENING = {
    "NoNewPrivileges": "yes",
    "LockPersonality": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
}
_SYSTEM_HARDENING = {
    "DynamicUser": "yes",
    "StateDirectory": NAME,
    "StateDirectoryMode": "0700",
    "CapabilityBoundingSet": "",
    "PrivateTmp": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectSystem": "strict",
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": "@system-service",
}


def unit_text(definition: Definition) -> str:
    """The unit file."""
    unit = {"Description": DESCRIPTION, "StartLimitIntervalSec": 60, "StartLimitBurst": 5}
    service: dict[str, object] = {
        "Type": "exec",
        # `$` begins a variable in commands only.
        "ExecStart": " ".join(_quoted(word).replace("$", "$$") for word in definition.program),
        "Restart": "on-failure",
        "RestartSec": RESTART_AFTER_S,
        "RestartPreventExitStatus": REFUSED_EXIT_CODE,
        "TimeoutStopSec": STOP_TIMEOUT_S,
        "KillMode": "mixed",
        **_HARDENING,
    }
    environment = dict(definition.environment)
    if definition.is_system:
        unit |= {"Wants": "network-online.target", "After": "network-online.target"}
        environment = {"FOUNDRYLOCAL_HOME": SYSTEM_HOME}
        in_home = Path(definition.program[0]).is_relative_to("/home")
        service |= _SYSTEM_HARDENING | {"ProtectHome": "read-only" if in_home else "yes"}
    lines = [f"Environment={_quoted(f'{name}={value}')}" for name, value in environment.items()]
    target = "multi-user.target" if definition.is_system else "default.target"
    return (
        "# Written by `foundrylocal service install`; `foundrylocal service uninstall` removes it.\n"
        + _section("Unit", unit)
        + _section("Service", service, lines)
        + _section("Install", {"WantedBy": target})
    )


def _section(name: str, values: Mapping[str, object], more: Iterable[str] = ()) -> str:
    lines = [*(f"{key}={value}" for key, value in values.items()), *more]
    return f"[{name}]\n" + "".join(f"{line}\n" for line in lines) + "\n"


def _quoted(word: str) -> str:
    """A word of a command or an assignment, as systemd reads it back."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if any(mark in word for mark in " \t'\"\\") else escaped


def _require_readable(program: Path) -> None:
    """The system service runs under its own user account, which must be able to read the program. Raises Failure."""
    for folder in program.parents:
        if folder.exists() and not folder.stat().st_mode & 0o001:
            raise Failure(
                f"Other users cannot enter {folder}, where foundrylocal is installed",
                "The system service runs under its own user account.",
                "install foundrylocal for all users, as in: pipx install --global foundrylocal",
            )


class Systemd:
    """The manager of one user, or of the system."""

    def __init__(self, *, is_system: bool) -> None:
        self._scope = [] if is_system else ["--user"]
        self._is_system = is_system

    @property
    def path(self) -> Path:
        if self._is_system:
            return Path("/etc/systemd/system") / UNIT
        config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        return Path(config) / "systemd" / "user" / UNIT

    def install(self, definition: Definition, *, start: bool) -> None:
        if self._is_system:
            _require_readable(Path(definition.program[0]))
        before = self.path.read_bytes() if self.path.exists() else None
        write_definition(self.path, unit_text(definition).encode())
        try:
            self._call("daemon-reload")
        except Failure:
            # Where no manager runs, nothing is left of the attempt.
            if before is None:
                remove_definition(self.path)
            else:
                write_definition(self.path, before)
            raise
        self._call("enable", UNIT)
        if start:
            self._call("restart", UNIT)

    def uninstall(self) -> bool:
        if not self.path.exists():
            return False
        self._call("disable", "--now", UNIT)
        remove_definition(self.path)
        self._call("daemon-reload")
        return True

    def start(self) -> None:
        self._call("start", UNIT)

    def stop(self) -> None:
        self._call("stop", UNIT)

    def state(self) -> State:
        done = call_tool("systemctl", *self._scope, "is-active", UNIT)
        word = done.stdout.strip() or done.stderr.strip() or "unknown"
        return State(self.path.exists(), done.returncode == 0, word)

    def _call(self, *words: str) -> None:
        journal = f"journalctl {' '.join([*self._scope, '-u', NAME])}"
        next_step = _NO_SYSTEM_MANAGER if self._is_system else _NO_USER_MANAGER
        if words[0] in ("start", "restart"):
            next_step = f"see {journal}"
        require_tool(next_step, "systemctl", *self._scope, *words)
