"""`foundrylocal config`: show the settings or change some; the service validates and saves them."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import facts, say

# `cachedir` is how the published answer spells cache_dir; the others are not settings.
_NOT_SETTINGS = ("success", "message", "cachedir")


def command(
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings to change; without any, show all settings."),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="First reset all settings to their defaults.")
    ] = False,
) -> None:
    """Show or change the settings of the service."""
    changes: dict[str, Any] = dict(_parse(pair) for pair in settings or [])
    if reset:
        changes["defaults"] = True
    answer = ManagementClient().post("/config", changes)
    if changes:
        say(str(answer["message"]))
    facts([(name, _written(value)) for name, value in answer.items() if name not in _NOT_SETTINGS])


def _parse(pair: str) -> tuple[str, object]:
    """Read a value as JSON where possible (numbers, true, null, lists), otherwise as text."""
    name, mark, text = pair.partition("=")
    if not mark or not name:
        raise Failure(f"'{pair}' is not a setting", "Write KEY=VALUE, as in port=1235.", exit_code=2)
    try:
        return name, json.loads(text)
    except (ValueError, RecursionError):
        return name, text


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
