"""`foundrylocal start`: start the server with a model and show its address."""

from __future__ import annotations

from foundrylocal.cli import operations
from foundrylocal.cli.arguments import GatewayPort, Model
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.commands.status import show_access


def command(model: Model, gateway_port: GatewayPort = None) -> None:
    """Start the FoundryLocal server with a model.

    \b
    Examples:
      foundrylocal start SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal start MODEL --gateway-port 1235
    """
    api = ManagementClient()
    operations.start(api, model, gateway_port)
    show_access(api.get("/status"))
