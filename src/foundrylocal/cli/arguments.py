"""Arguments and options that several verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name or id of a model, as `foundrylocal list` shows it.")
]
GatewayPort = Annotated[
    int | None,
    typer.Option("--gateway-port", min=0, max=65535, help="Port for applications; 0 picks any free port."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the service's answer as JSON.")]
