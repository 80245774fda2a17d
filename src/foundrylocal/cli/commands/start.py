"""`foundrylocal start`: start the server with a model and show its address."""

from __future__ import annotations

import json

from foundrylocal.cli import operations
from foundrylocal.cli.arguments import AsJson, GatewayPort, Model
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.commands.status import show_access
from foundrylocal.cli.render import progress_beside


def command(model: Model, gateway_port: GatewayPort = None, as_json: AsJson = False) -> None:
    """Start the FoundryLocal server with a model.

    \b
    Examples:
      foundrylocal start SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal start MODEL --gateway-port 1235
    """
    api = ManagementClient()
    with progress_beside(as_json=as_json):
        answer = operations.start(api, model, gateway_port)
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        show_access(api.get("/status"))
