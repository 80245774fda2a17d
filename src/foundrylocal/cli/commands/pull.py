"""`foundrylocal pull`: download a model and show the progress."""

from __future__ import annotations

from foundrylocal.cli import operations
from foundrylocal.cli.arguments import Model
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import say


def command(model: Model) -> None:
    """Download a model."""
    data = operations.download(ManagementClient(), model)
    say(f"Next: foundrylocal run {data.get('model_name', model)}")
