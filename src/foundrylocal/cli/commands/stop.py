"""`foundrylocal stop`: stop the server, or what is under way of starting it."""

from __future__ import annotations

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import say


def stop() -> None:
    """Stop the server; raises Failure."""
    say(str(ManagementClient().post("/stop")["message"]))
