"""`foundrylocal list`: the models of the registry, or those on this machine."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import say, table


def list_models(*, is_downloaded: bool, as_json: bool) -> None:
    """Print a line for each model."""
    answer = ManagementClient().get("/models/downloaded" if is_downloaded else "/models")
    models = answer["models"]
    if as_json:
        print(json.dumps(answer, indent=2))
    elif not models:
        say("No model is downloaded. Next: foundrylocal pull MODEL, or foundrylocal list for their names.")
    else:
        table(("MODEL", "SIZE", "QUANTIZATION", "FILE", "STATE"), [_row(model) for model in models])


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    state = "loaded" if model["is_loaded"] else "downloaded" if model["is_downloaded"] else ""
    names = ("simple_name", "size", "quantization", "file_size_formatted")
    return (*(str(model.get(name) or "-") for name in names), state)
