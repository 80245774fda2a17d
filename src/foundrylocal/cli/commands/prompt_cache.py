"""`foundrylocal prompt-cache`: the saved prompts of models that are not loaded."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import report, say, table

HELP = "Show or remove the saved prompts of unloaded models."
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def list_prompts(as_json: AsJson = False) -> None:
    """List the saved prompts by model.

    \b
    Examples:
      foundrylocal prompt-cache list
    """
    answer = ManagementClient().get("/prompt-cache")
    if as_json:
        print(json.dumps(answer, indent=2))
    elif not answer["limit_bytes"]:
        say("The prompt cache is off. Next: foundrylocal config prompt_cache_mb=2048")
    elif not answer["models"]:
        say("No prompts are saved. That happens when a model leaves memory.")
    else:
        titles = ("MODEL", "PROMPTS", "TOKENS", "SIZE", "AGE", "HITS")
        table(titles, [_row(model) for model in answer["models"]])


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(model["model"]),
        str(model["prompts"]),
        str(model["tokens"]),
        str(model["bytes_formatted"]),
        age(model["age_seconds"]),
        str(model["hits"]),
    )


def age(seconds: int) -> str:
    """`40 s`, `12 min`, `3 h`, `2 d`."""
    for unit, length_s in _UNITS:
        if seconds >= length_s:
            return f"{seconds // length_s} {unit}"
    return f"{seconds} s"


def clear(
    model: Annotated[str | None, typer.Argument(help="Only the prompts of this model.")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove the saved prompts of all models or of one; loaded models keep theirs in memory.

    \b
    Examples:
      foundrylocal prompt-cache clear
      foundrylocal prompt-cache clear SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    answer = ManagementClient().delete("/prompt-cache" + (f"/{quote(model, safe='')}" if model else ""))
    freed = f": {answer['removed']}, {answer['freed_formatted']} freed" if answer["removed"] else ""
    report(answer, f"{answer['message']}{freed}", as_json=as_json)


COMMANDS = {"list": list_prompts, "clear": clear}
