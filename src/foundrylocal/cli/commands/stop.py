"""`foundrylocal stop`: stop the server, or cancel a start in progress."""

from __future__ import annotations

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import report


def command(as_json: AsJson = False) -> None:
    """Stop the FoundryLocal server.

    The management API keeps running.

    \b
    Examples:
      foundrylocal stop
    """
    answer = ManagementClient().post("/stop")
    report(answer, str(answer["message"]), as_json=as_json)
