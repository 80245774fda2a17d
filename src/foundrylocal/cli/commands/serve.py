"""`foundrylocal serve`: run the service in this process until a signal ends it, or in the background."""

from __future__ import annotations

from typing import Annotated

import typer

from foundrylocal.cli.background_service import READY_TIMEOUT_S, ServiceProcess, start_service
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import facts


def command(
    host: Annotated[str | None, typer.Option(help="Address of the management API.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port of the management API; 0 picks any free port."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Log at level DEBUG and write the log to stderr too.")
    ] = False,
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Run in the background: return as soon as the service is ready."),
    ] = False,
) -> None:
    """Run the service: the management API and the gateway.

    The exit code is 0 after a signal, 1 if the service could not run (a port
    is taken), 2 if it refused its settings. With --detach it is 0 once the
    service is ready.

    \b
    Examples:
      foundrylocal serve
      foundrylocal serve --detach --port 9501
    """
    if detach:
        _detach(host, port, verbose=verbose)
        return
    from foundrylocal.cli.lean_import import import_runtime

    raise typer.Exit(import_runtime().serve(host=host, port=port, verbose=verbose))


def _detach(host: str | None, port: int | None, *, verbose: bool) -> None:
    given = {"--host": host, "--port": None if port is None else str(port)}
    arguments = [word for name, value in given.items() if value is not None for word in (name, value)]
    started = start_service([*arguments, *(["--verbose"] if verbose else [])], ends_with_us=False)
    try:
        url = _ready_address(started)
    except BaseException:
        started.end()
        raise
    facts(
        [
            ("Service", url),
            ("Dashboard", f"{url}/"),
            ("Log files", started.logs),
            ("Stop it with", "foundrylocal shutdown"),
        ]
    )


def _ready_address(started: ServiceProcess) -> str:
    url = started.wait_ready()
    if url is None:
        raise started.why_it_ended("foundrylocal serve --detach")
    ManagementClient(url).check(timeout_s=READY_TIMEOUT_S)
    return url
