"""`foundrylocal switch`: move the server to another model, keeping its port and key."""

from __future__ import annotations

from foundrylocal.cli import operations
from foundrylocal.cli.arguments import Model
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.commands.status import show_access


def command(model: Model) -> None:
    """Switch the running server to another model.

    \b
    Examples:
      foundrylocal switch SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    api = ManagementClient()
    operations.switch(api, model)
    show_access(api.get("/status"))
