"""`foundrylocal doctor`: examine this machine, through the service or, when none is running, without it."""

from __future__ import annotations

import json
from typing import Any

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Refused, Unreachable
from foundrylocal.cli.render import say, say_beside
from foundrylocal.client.addresses import BASE_PATH

# The service bounds each check; loading the starter model takes longest.
TIMEOUT_S = 90.0
_MARKS = {"ok": "ok", "warning": "WARNING", "error": "ERROR"}


def command(as_json: AsJson = False) -> None:
    """Check the machine and say what to do about each problem.

    The folders, the ports, the engine and the network; the exit code is 1 on an error.

    \b
    Examples:
      foundrylocal doctor
    """
    answer, is_running = _examine()
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        _show(answer, is_running=is_running)
    if answer["status"] == "error":
        raise typer.Exit(1)


def _examine() -> tuple[dict[str, Any], bool]:
    api = ManagementClient()
    try:
        return api.call("GET", f"{BASE_PATH}/doctor", timeout_s=TIMEOUT_S), True
    except Unreachable:
        pass  # that is no error: most of the checks need no service
    except Refused as refusal:
        if refusal.status != 404:
            raise
    return _examine_locally(), False


def _examine_locally() -> dict[str, Any]:
    import anyio

    from foundrylocal.doctor import local
    from foundrylocal.doctor.report import render

    return render(anyio.run(local.examine))


def _show(answer: dict[str, Any], *, is_running: bool) -> None:
    if not is_running:
        say("No service is running here; the checks were made without it.")
    show_checks(answer)


def show_checks(answer: dict[str, Any]) -> None:
    """Print each check on a line, with its next step below."""
    width = max(len(check["name"]) for check in answer["checks"])
    for check in answer["checks"]:
        say_beside(f"{_MARKS[check['status']].ljust(7)}  {check['name'].ljust(width)}  ", check["message"])
        if check["action"]:
            say_beside(" " * (width + 11), f"Next: {check['action']}")
