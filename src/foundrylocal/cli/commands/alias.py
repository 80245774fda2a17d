"""`foundrylocal alias`: other names for models, which requests may use."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import facts, say


def command(
    name: Annotated[str | None, typer.Argument(help="The other name; without it, list them all.")] = None,
    model: Annotated[str | None, typer.Argument(help="Name or id of the model that it stands for.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove that name.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the other names of models, add one, or remove one.

    \b
    Examples:
      foundrylocal alias small SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal alias
      foundrylocal alias small --remove
    """
    api = ManagementClient()
    aliases: dict[str, str] = api.post("/config", {})["aliases"]
    if name is None:
        if as_json:
            print(json.dumps({"aliases": aliases, "total_count": len(aliases)}, indent=2))
        elif aliases:
            facts(list(aliases.items()))
        else:
            say("There are no aliases. Next: foundrylocal alias NAME MODEL")
        return
    if remove == (model is not None):
        raise Failure(
            f"What should '{name}' stand for?",
            "Name a model, or give --remove.",
            f"foundrylocal alias {name} MODEL",
            exit_code=2,
        )
    if remove and name not in aliases:
        raise Failure(f"There is no alias '{name}'", None, "foundrylocal alias")
    if model:
        api.get(model_path(model))  # a name that nobody knows is refused here, and not by a later request
    others = {one: target for one, target in aliases.items() if one != name}
    api.post("/config", {"aliases": others | ({name: model} if model else {})})
    say(f"'{name}' now stands for {model}." if model else f"Removed the alias '{name}'.")
