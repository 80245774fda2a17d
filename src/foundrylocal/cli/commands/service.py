"""`foundrylocal service`: let the system run the service, in the background and at boot."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Annotated

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.autostart.definition import Definition, Manager
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import facts, say

HELP = "Run the service in the background and at boot."
READY_TIMEOUT_S = 30.0
_POLL_S = 0.1

IsSystem = Annotated[
    bool,
    typer.Option("--system", help="For the whole machine, as root; without it, for your user."),
]


def install(
    is_system: IsSystem = False,
    start: Annotated[bool, typer.Option("--start/--no-start", help="Start it now, too.")] = True,
) -> None:
    """Install the service and start it now and at every login or boot.

    systemd on Linux, launchd on macOS. Settings stay where they are; a home
    from FOUNDRYLOCAL_HOME is kept.

    \b
    Examples:
      foundrylocal service install
      sudo foundrylocal service install --system
    """
    manager = _manager(is_system)
    if start and not is_system:
        _refuse_beside_another(manager)
    manager.install(Definition.of_this_program(is_system=is_system), start=start)
    say(f"Installed: {manager.path}")
    _say_what_is_left_out()
    if start and not is_system:
        facts([("Service", _wait_for_address())])
    if sys.platform == "linux" and not is_system:
        say('It starts when you log in. To start it at boot: loginctl enable-linger "$USER"')


def uninstall(is_system: IsSystem = False) -> None:
    """Stop the service and remove its definition.

    Models, settings, keys and logs stay.

    \b
    Examples:
      foundrylocal service uninstall
    """
    manager = _manager(is_system)
    if not manager.uninstall():
        say(f"The service is not installed: there is no {manager.path}.")
        return
    say(f"Removed: {manager.path}")
    say("Models, settings, keys and logs are still there.")


def start(is_system: IsSystem = False) -> None:
    """Start the installed service.

    \b
    Examples:
      foundrylocal service start
    """
    _installed(is_system).start()
    say("The service is started.")


def stop(is_system: IsSystem = False) -> None:
    """Stop the installed service; it starts again at the next boot.

    \b
    Examples:
      foundrylocal service stop
    """
    _installed(is_system).stop()
    say("The service is stopped.")


def status(is_system: IsSystem = False, as_json: AsJson = False) -> None:
    """Show whether the service is installed and runs.

    The exit code is 1 if it does not run.

    \b
    Examples:
      foundrylocal service status
    """
    manager = _manager(is_system)
    found = manager.state()
    address = _address() if found.is_running and not is_system else None
    if as_json:
        path = str(manager.path) if found.is_installed else None
        state = {"is_running": found.is_running, "state": found.summary, "url": address}
        print(json.dumps({"is_installed": found.is_installed, "path": path, **state}, indent=2))
    else:
        where = str(manager.path) if found.is_installed else "no (foundrylocal service install)"
        facts([("Installed", where), ("State", found.summary), ("Service", address)])
    if not found.is_running:
        raise typer.Exit(1)


COMMANDS = {"install": install, "uninstall": uninstall, "start": start, "stop": stop, "status": status}


def _manager(is_system: bool) -> Manager:
    """The service manager of this system. Raises Failure where there is none."""
    if sys.platform == "linux":
        from foundrylocal.cli.autostart.systemd import Systemd

        return Systemd(is_system=is_system)
    if sys.platform == "darwin":
        from foundrylocal.cli.autostart.launchd import Launchd
        from foundrylocal.home.folders import Folders

        return Launchd(Folders.locate().state / "service-output.log", is_system=is_system)
    raise Failure(
        "This system has no supported service manager",
        "On Windows, the Task Scheduler starts programs at logon.",
        f'schtasks /Create /TN foundrylocal /SC ONLOGON /TR "{sys.executable} -m foundrylocal serve"',
    )


def _installed(is_system: bool) -> Manager:
    manager = _manager(is_system)
    if not manager.path.exists():
        raise Failure("The service is not installed", None, "foundrylocal service install")
    return manager


def _refuse_beside_another(manager: Manager) -> None:
    """A service that was started by hand holds the home, and the manager's own would be refused."""
    from foundrylocal.home.folders import Folders
    from foundrylocal.home.lock import is_home_held

    if is_home_held(Folders.locate().state) and not (manager.path.exists() and manager.state().is_running):
        raise Failure(
            "A service that you started by hand is already running with this home",
            "Two services cannot share a home.",
            "foundrylocal shutdown, then run this command again",
        )


def _say_what_is_left_out() -> None:
    names = sorted(
        name for name in os.environ if name.startswith("FOUNDRYLOCAL_") and name != "FOUNDRYLOCAL_HOME"
    )
    if names:
        say(f"Not copied from your environment: {', '.join(names)}. Save them with foundrylocal config.")


def _address() -> str | None:
    from foundrylocal.home.folders import Folders
    from foundrylocal.home.service_address import find_address

    return find_address(Folders.locate().state)


def _wait_for_address() -> str:
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while True:
        if (address := _address()) is not None:
            return address
        if time.monotonic() > deadline_s:
            raise Failure(
                f"The service is installed, but was not ready in {READY_TIMEOUT_S:g} s",
                None,
                "foundrylocal service status",
            )
        time.sleep(_POLL_S)
