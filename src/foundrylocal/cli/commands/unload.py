"""`foundrylocal unload`: free the memory of one model, or of all."""

from __future__ import annotations

from typing import Annotated

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.operations import UNLOAD_TIMEOUT_S
from foundrylocal.cli.render import report


def command(
    model: Annotated[str | None, typer.Argument(help="Name or id of a model in memory.")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Unload all models.")] = False,
    as_json: AsJson = False,
) -> None:
    """Unload a model from memory; its files stay.

    Its running answers end first.

    \b
    Examples:
      foundrylocal unload SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal unload --all
    """
    if (model is None) != is_all:
        raise Failure("Which model?", "Name one, or give --all.", "foundrylocal ps", exit_code=2)
    path = "/models/unload-all" if model is None else model_path(model, "/unload")
    answer = ManagementClient().post(path, timeout_s=UNLOAD_TIMEOUT_S)
    text = answer["message"] if model is None else f"{answer['message']}: {answer['model_name']}"
    report(answer, text, as_json=as_json)
