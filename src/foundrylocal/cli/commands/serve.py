"""`foundrylocal serve`: run the service in this process until a signal ends it."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    host: Annotated[str | None, typer.Option(help="Address of the management API.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the management API; 0 picks any free port."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Log at level DEBUG and write the log to stderr too.")
    ] = False,
) -> None:
    """Run the service: the management API and the gateway."""
    from foundrylocal.cli.lean_import import import_runtime

    raise typer.Exit(import_runtime().serve(host=host, port=port, verbose=verbose))
