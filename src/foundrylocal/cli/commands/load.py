"""`foundrylocal load`: load a model alongside the others."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.operations import LOAD_TIMEOUT_S
from foundrylocal.cli.render import report, say_beside
from foundrylocal.cli.values import TEXT_OPTIONS, nearest_names, parse_pairs, written


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
    api = ManagementClient()
    with nearest_names(given):
        answer = api.post(model_path(model, "/load"), body, timeout_s=LOAD_TIMEOUT_S)
    report(answer, f"{answer['message']}: {answer['model_name']}", as_json=as_json)
    if given and not as_json:
        _say_what_was_not_honored(api, model, given)


def _say_what_was_not_honored(api: ManagementClient, model: str, given: dict[str, Any]) -> None:
    """A model that was in memory keeps its options, and one may be less than was asked for."""
    options = api.get(model_path(model)).get("options") or {}
    effective, reasons = options.get("effective", {}), options.get("reasons", {})
    for name, value in given.items():
        if name in effective and effective[name] != value and value is not None:
            why = reasons.get(
                name, f"it was in memory already: foundrylocal unload {model}, then load it again"
            )
            say_beside("Note  ", f"{name} is {written(effective[name])}, not {written(value)}: {why}")
