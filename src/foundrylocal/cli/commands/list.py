"""`foundrylocal list`: the models in the registry, or those on this machine."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import say, table


def command(
    downloaded: Annotated[
        bool, typer.Option("--downloaded", help="Only models that are on this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the available models."""
    answer = ManagementClient().get("/models/downloaded" if downloaded else "/models")
    models = answer["models"]
    if as_json:
        print(json.dumps(answer, indent=2))
    elif not models:
        say("No model is downloaded. Next: foundrylocal pull MODEL; foundrylocal list shows their names.")
    else:
        table(("MODEL", "SIZE", "QUANTIZATION", "FILE", "STATE"), [_row(model) for model in models])


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    state = "loaded" if model["is_loaded"] else "downloaded" if model["is_downloaded"] else ""
    names = ("simple_name", "size", "quantization", "file_size_formatted")
    return (*(str(model.get(name) or "-") for name in names), state)
