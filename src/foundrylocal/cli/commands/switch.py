"""`foundrylocal switch`: move the server to another model, keeping its port and key."""

from __future__ import annotations

import json

from foundrylocal.cli import operations
from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.commands.status import show_access
from foundrylocal.cli.render import progress_beside


def command(model: Model, as_json: AsJson = False) -> None:
    """Switch the running server to another model.

    \b
    Examples:
      foundrylocal switch SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    api = ManagementClient()
    with progress_beside(as_json=as_json):
        answer = operations.switch(api, model)
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        show_access(api.get("/status"))
