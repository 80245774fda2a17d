"""`foundrylocal pull`: download a model and show the progress."""

from __future__ import annotations

from typing import Annotated

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.operations import fetch
from foundrylocal.cli.render import progress_beside, report


def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="Name or id of a model, or OWNER/REPO[:QUANTIZATION] on the hub."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Download a model from the catalog or from the hub.

    \b
    Examples:
      foundrylocal pull SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
    """
    with progress_beside(as_json=as_json):
        data = fetch(ManagementClient(), model)
    report(data, f"Next: foundrylocal run {data.get('model_name', model)}", as_json=as_json)
