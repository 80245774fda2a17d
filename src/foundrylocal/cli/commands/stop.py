"""`foundrylocal stop`: stop the server, or cancel a start in progress."""

from __future__ import annotations

from typing import Annotated

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import report


def command(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", hidden=True)] = None, as_json: AsJson = False
) -> None:
    """Stop the FoundryLocal server.

    The management API keeps running.

    \b
    Examples:
      foundrylocal stop
    """
    if model is not None:  # as with Ollama
        raise Failure(
            "stop stops the server with all its models",
            "It takes no model; unload takes one from memory.",
            f"foundrylocal unload {model}",
            exit_code=2,
        )
    answer = ManagementClient().post("/stop")
    report(answer, str(answer["message"]), as_json=as_json)
