"""`foundrylocal logs`: the recent log, and with -f what comes after it."""

from __future__ import annotations

from typing import Any

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import say


def logs(*, is_following: bool, count: int, level: str | None, source: str | None) -> None:
    """Print a line for each entry; following ends with Ctrl-C, or with the service (Failure)."""
    api = ManagementClient()
    if not is_following:
        for entry in api.get("/logs", count=count, level=level, source=source):
            _show(entry)
        return
    for entry in api.watch("/logs/stream", tail=count, level=level, source=source):
        if _is_wanted(entry, level, source):
            _show(entry)
    raise Failure("The service ended the stream", None, "foundrylocal status")


def _is_wanted(entry: dict[str, Any], level: str | None, source: str | None) -> bool:
    """The filters once more: the stream is published without them."""
    return (level is None or entry.get("level") == level.upper()) and source in (None, entry.get("source"))


def _show(entry: dict[str, Any]) -> None:
    say(f"{entry['timestamp']} {entry['level']:<8} {entry['source']}: {entry['message']}")
