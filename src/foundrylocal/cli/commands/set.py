"""`foundrylocal set`: show, change or remove what is saved for one model; the service validates and saves it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import Json, ManagementClient, model_path
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import say, table
from foundrylocal.cli.values import TEXT_OPTIONS, nearest_names, parse_pairs, written

_FOLLOWS = {"at_once": "immediately", "next_load": "with the next load"}


def command(
    model: Model,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="Values to save, as in temperature=0.2 context_size=16384; KEY=null removes one.",
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show what is in force and where it comes from.")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Remove everything that is saved for the model.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check the values and show the outcome.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Save settings of one model.

    Load options, sampling defaults, a system prompt.

    \b
    Examples:
      foundrylocal set MODEL temperature=0.2 context_size=16384
      foundrylocal set MODEL system_prompt="You are brief."
      foundrylocal set MODEL --show
    """
    if reset and (values or dry_run):
        raise Failure(
            "--reset takes no values",
            "First reset, then set the new values.",
            f"foundrylocal set {model} --reset",
            exit_code=2,
        )
    client, path = ManagementClient(), model_path(model, "/preset")
    changes: Json = parse_pairs(values or [], "temperature=0.2", TEXT_OPTIONS)
    if reset:
        answer = client.delete(path)
    elif changes:
        with nearest_names(changes):
            answer = client.post(path, changes | ({"dry_run": True} if dry_run else {}))
    else:
        answer = client.get(path)
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    if "message" in answer:
        say(str(answer["message"]))
        for name, when in answer["applies"].items():
            say(f"  {name} takes effect {_FOLLOWS.get(when, when)}")
    if show or not (changes or reset):
        _show(answer)


def _show(answer: Json) -> None:
    sources = answer["sources"]
    rows = [(name, written(value), sources[name]) for name, value in answer["effective"].items()]
    table(("KEY", "VALUE", "FROM"), rows)
