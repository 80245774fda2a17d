"""`foundrylocal pull`: download a model and show the progress."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from foundrylocal.cli import operations
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.commands.import_ import import_body
from foundrylocal.cli.failure import Failure, Refused
from foundrylocal.cli.render import say


def command(
    model: Annotated[
        str, typer.Argument(help="Name or id of a model, or OWNER/REPO[:QUANTIZATION] on the hub.")
    ],
) -> None:
    """Download a model from the catalogue or from the hub."""
    api = ManagementClient()
    try:
        data = operations.download(api, model)
    except Refused as refusal:
        if refusal.code != "model_not_found" or (body := _repository(model)) is None:
            raise
        data = operations.import_from_hub(api, body)
        say(str(data["message"]))
    say(f"Next: foundrylocal run {data.get('model_name', model)}")


def _repository(source: str) -> dict[str, Any] | None:
    """What to ask the hub for; None if `source` does not look like a repository."""
    try:
        body = import_body(source, None)
    except Failure:
        return None
    return body if "repo" in body else None
