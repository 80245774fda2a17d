"""`foundrylocal start`: start the server with a model and show its address."""

from __future__ import annotations

from foundrylocal.cli import operations
from foundrylocal.cli.arguments import Model, ServerPort
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.commands.status import show_access


def command(model: Model, port: ServerPort = None) -> None:
    """Start the FoundryLocal server with a model."""
    api = ManagementClient()
    operations.start(api, model, port)
    show_access(api.get("/status"))
