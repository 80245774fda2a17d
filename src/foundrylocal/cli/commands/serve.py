"""`foundrylocal serve`: run the service in this process until a signal ends it."""

from __future__ import annotations

import gc
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
    # What an import makes stays: collecting meanwhile costs a tenth of the start, and freezing it keeps every later
    # collection from going through it again on the event loop.
    gc.disable()
    from foundrylocal import runtime

    gc.freeze()
    gc.enable()
    raise typer.Exit(runtime.serve(host=host, port=port, verbose=verbose))
