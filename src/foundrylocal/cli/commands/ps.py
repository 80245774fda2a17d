"""`foundrylocal ps`: the models in memory, and what they take of it."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import say, table
from foundrylocal.kit.sizes import format_bytes


def command(as_json: AsJson = False) -> None:
    """Show the models in memory and what they take of it.

    \b
    Examples:
      foundrylocal ps
    """
    machine = ManagementClient().get("/machine")
    if as_json:
        print(json.dumps(machine, indent=2))
        return
    if machine["models"]:
        has_nodes = any(model["node"] != "local" for model in machine["models"])
        titles = ("MODEL", "STATE", "MEMORY", "CONTEXT", "LEAVES", *(("NODE",) if has_nodes else ()))
        table(titles, [_row(model, has_nodes=has_nodes) for model in machine["models"]])
    else:
        say("No model is loaded. Next: foundrylocal load MODEL; foundrylocal list --all shows their names.")
    memory = machine["memory"]
    say(f"Free for models: {format_bytes(memory['free_bytes'])} of {format_bytes(memory['total_bytes'])}")


def _row(model: dict[str, Any], *, has_nodes: bool) -> tuple[str, ...]:
    leaves = "never" if model["is_pinned"] else model["unloads_at"] or "for another model"
    return (
        str(model["model"]),
        str(model["state"]),
        format_bytes(model["memory_bytes"]),
        str(model["context_size"]),
        str(leaves),
        *((str(model["node"]),) if has_nodes else ()),
    )
