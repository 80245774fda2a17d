"""`foundrylocal pull`: download a model and show the progress."""

from __future__ import annotations

from typing import Annotated

import typer

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.operations import fetch
from foundrylocal.cli.render import say


def command(
    model: Annotated[
        str, typer.Argument(help="Name or id of a model, or OWNER/REPO[:QUANTIZATION] on the hub.")
    ],
) -> None:
    """Download a model from the catalogue or from the hub.

    \b
    Examples:
      foundrylocal pull SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
    """
    data = fetch(ManagementClient(), model)
    say(f"Next: foundrylocal run {data.get('model_name', model)}")
