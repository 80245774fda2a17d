"""`foundrylocal logs`: recent log entries, and with -f new ones as they arrive."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import say_verbatim


def command(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Keep printing new entries.")] = False,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=10_000, help="Number of entries to show.")
    ] = 100,
    level: Annotated[str | None, typer.Option(help="Only this level, such as ERROR.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source, such as FoundryLocalService.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each entry as a line of JSON.")] = False,
) -> None:
    """Show the log.

    \b
    Examples:
      foundrylocal logs -f
      foundrylocal logs -n 20 --level ERROR
    """
    api = ManagementClient()
    level = level.upper() if level else None
    show = _show_json if as_json else _show
    if not follow:
        for entry in api.get("/logs", count=count, level=level, source=source):
            show(entry)
        return
    for entry in api.watch("/logs/stream", tail=count, level=level, source=source):
        if _is_wanted(entry, level, source):
            show(entry)
    raise Failure("The service ended the stream", None, "foundrylocal status")


def _is_wanted(entry: dict[str, Any], level: str | None, source: str | None) -> bool:
    """Filter here as well: the published stream has no filters."""
    return (level is None or entry.get("level") == level) and source in (None, entry.get("source"))


def _show(entry: dict[str, Any]) -> None:
    say_verbatim(f"{entry['timestamp']} {entry['level']:<8} {entry['source']}: {entry['message']}")


def _show_json(entry: dict[str, Any]) -> None:
    print(json.dumps(entry), flush=True)
