"""`foundrylocal plan`: what loading a model would take and do, without doing it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.render import facts
from foundrylocal.kit.sizes import format_bytes

_ACTIONS = {
    "none": "nothing: the model is in memory",
    "load": "load the model",
    "download_and_load": "download and load the model",
}


def command(
    model: Model,
    context: Annotated[
        int | None, typer.Option("--context", min=256, help="Context size in tokens; without it, auto.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what loading a model would take.

    The exit code is 1 if it does not fit.

    \b
    Examples:
      foundrylocal plan SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal plan MODEL --context 32768
    """
    body: dict[str, Any] = {"model_name": model}
    if context is not None:
        body["options"] = {"context_size": context}
    answer = ManagementClient().post("/plan", body)
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        _show(answer)
    if not answer["fits"]:
        raise typer.Exit(1)


def _show(answer: dict[str, Any]) -> None:
    refusal = answer["refusal"]
    facts(
        [
            ("Model", answer["model"]),
            ("Would", _ACTIONS.get(answer["action"], answer["action"])),
            ("Fits", "yes" if answer["fits"] else f"no: {refusal['message']}"),
            ("Because", (refusal.get("reason") or refusal.get("details")) if refusal else None),
            ("Context", _context(answer)),
            ("Memory", _memory(answer["memory"])),
            ("GPU", _of_free(answer["memory"].get("gpu"))),
            ("Disk", _of_free(answer["disk"])),
            ("Unloads", _unloads(answer)),
            ("Time", _time(answer["seconds"])),
            *(("Note", warning) for warning in answer["warnings"]),
        ]
    )


def _context(answer: dict[str, Any]) -> str:
    effective, source = answer["effective"], answer["sources"].get("context_size")
    return f"{effective['context_size']:,} tokens ({source}), shared by {effective['parallel']} requests at a time"


def _memory(memory: dict[str, Any]) -> str:
    parts = ", ".join(
        f"{name} {format_bytes(memory[field])}"
        for name, field in (
            ("model", "weights_bytes"),
            ("context", "kv_cache_bytes"),
            ("work space", "compute_bytes"),
        )
    )
    return f"{_of_free(memory)} ({parts})"


def _of_free(part: dict[str, Any] | None) -> str | None:
    if part is None:
        return None
    return f"{format_bytes(part['needed_bytes'])} of {format_bytes(part['free_bytes'])} free"


def _unloads(answer: dict[str, Any]) -> str | None:
    waits = set(answer["drains"])
    names = [f"{name} (still answering)" if name in waits else name for name in answer["unloads"]]
    return ", ".join(names) or None


def _time(seconds: dict[str, Any]) -> str | None:
    steps = [
        f"{step} about {seconds[step]:g} s ({seconds['basis'][step]})"
        for step in ("download", "load")
        if seconds[step]
    ]
    return ", ".join(steps) or None
