"""`foundrylocal stop`: stop the server, or cancel a start in progress."""

from __future__ import annotations

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import say


def command() -> None:
    """Stop the FoundryLocal server.

    The management API keeps running.

    \b
    Examples:
      foundrylocal stop
    """
    say(str(ManagementClient().post("/stop")["message"]))
