"""`foundrylocal dashboard`: open the dashboard of the running service in the browser."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from foundrylocal.cli.client import ManagementClient


def command(
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the address; open nothing.", show_default=False)
    ] = False,
) -> None:
    """Open the dashboard in the browser.

    \b
    Examples:
      foundrylocal dashboard
      foundrylocal dashboard --print
    """
    api = ManagementClient()
    api.check()
    address = f"{api.url.rstrip('/')}/"
    print(address)
    if not print_only and not webbrowser.open(address):
        typer.echo("No browser could be opened here: open the address in one yourself.", err=True)
