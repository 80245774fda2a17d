"""`foundrylocal pull`: download a model with its progress."""

from __future__ import annotations

from foundrylocal.cli import operations
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import say


def pull(model: str) -> None:
    """Download a model and say what can be done with it; raises Failure."""
    data = operations.download(ManagementClient(), model)
    say(f"Next: foundrylocal run {data.get('model_name', model)}")
