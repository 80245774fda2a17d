"""`foundrylocal config`: show the settings or change some; the service validates and saves them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import facts, say
from foundrylocal.cli.values import parse_pairs, written

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
    changes: dict[str, Any] = parse_pairs(settings or [], "port=1235")
    if reset:
        changes["defaults"] = True
    answer = ManagementClient().post("/config", changes)
    if changes:
        say(str(answer["message"]))
    facts([(name, written(value)) for name, value in answer.items() if name not in _NOT_SETTINGS])
