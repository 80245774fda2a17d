"""`foundrylocal start`: start the server with a model and say where it answers."""

from __future__ import annotations

from foundrylocal.cli import operations
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.commands.status import show_access


def start(model: str, port: int | None) -> None:
    """Start the server; raises Failure."""
    api = ManagementClient()
    operations.start(api, model, port)
    show_access(api.get("/status"))
