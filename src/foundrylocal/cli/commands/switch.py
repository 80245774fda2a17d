"""`foundrylocal switch`: move the server to another model; its port and key stay."""

from __future__ import annotations

from foundrylocal.cli import operations
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.commands.status import show_access


def switch(model: str) -> None:
    """Switch models; raises Failure, and then the old model serves on."""
    api = ManagementClient()
    operations.switch(api, model)
    show_access(api.get("/status"))
