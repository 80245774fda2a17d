"""`foundrylocal load`: load a model alongside the others."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.operations import LOAD_TIMEOUT_S
from foundrylocal.cli.render import report
from foundrylocal.cli.values import TEXT_OPTIONS, parse_pairs


def command(
    model: Model,
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Load options for this time, such as context_size=16384. `foundrylocal set` keeps them.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load a downloaded model alongside the others.

    The server is started if it is stopped.

    \b
    Examples:
      foundrylocal load SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal load MODEL context_size=16384 pinned=true
    """
    given = parse_pairs(options or [], "context_size=16384", TEXT_OPTIONS)
    body: dict[str, Any] | None = {"options": given} if given else None
    answer = ManagementClient().post(model_path(model, "/load"), body, timeout_s=LOAD_TIMEOUT_S)
    report(answer, f"{answer['message']}: {answer['model_name']}", as_json=as_json)
