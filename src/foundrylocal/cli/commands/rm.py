"""`foundrylocal rm`: delete a downloaded model."""

from __future__ import annotations

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.render import report


def command(model: Model, as_json: AsJson = False) -> None:
    """Delete a downloaded model.

    \b
    Examples:
      foundrylocal rm SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    answer = ManagementClient().delete(model_path(model))
    text = f"{answer['message']}: {answer['model_name']}, {answer['freed_space_formatted']} freed"
    report(answer, text, as_json=as_json)
