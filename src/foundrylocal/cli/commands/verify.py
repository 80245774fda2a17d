"""`foundrylocal verify`: compare the files of a model with what was published."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.render import say

# A file is read whole: 100 GB from a slow disk take this long. A repair downloads, too.
VERIFY_TIMEOUT_S = 3600.0


def command(
    model: Model,
    repair: Annotated[bool, typer.Option("--repair", help="Download damaged files again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the files of a downloaded model.

    The exit code is 1 if one is damaged.

    \b
    Examples:
      foundrylocal verify SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal verify MODEL --repair
    """
    api = ManagementClient()
    answer = api.post(model_path(model, "/verify"), {"repair": repair}, timeout_s=VERIFY_TIMEOUT_S)
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        say(answer["message"])
        for file in answer["files"]:
            if file["problem"]:
                say(f"  {file['name']}: {file['problem']}")
        if not answer["is_sound"] and answer["can_repair"]:
            say(f"Next: foundrylocal verify {model} --repair")
    if not answer["is_sound"]:
        raise typer.Exit(1)
