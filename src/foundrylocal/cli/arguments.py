"""Arguments and options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="Name or id of a model, as `foundrylocal list` shows it.")]
ServerPort = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="Port of the FoundryLocal server; 0 picks any free port."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the service's answer as JSON.")]
