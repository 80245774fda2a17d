"""`foundrylocal search`: models by words in their names, in the catalog and on the hub."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Refused
from foundrylocal.cli.model_facts import memory_of, purpose_of
from foundrylocal.cli.render import say, table

SEARCH_TIMEOUT_S = 60.0


def command(
    query: Annotated[
        str, typer.Argument(metavar="WORDS", help="Words in the name or the purpose, such as `qwen code`.")
    ],
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=50, help="Maximum number of repositories of the hub.")
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Find models in the catalog and on the hub.

    MEMORY is what a model needs with its default context; a + means that it needs more, how much is unknown.
    FITS says whether it could be loaded now without unloading another one.

    \b
    Examples:
      foundrylocal search "qwen coder"
      foundrylocal search llama --limit 20
    """
    api = ManagementClient()
    words = query.lower().split()
    known = [one for one in api.get("/models")["models"] if all(word in _described(one) for word in words)]
    hub, problem = _on_hub(api, query, limit)
    if as_json:
        print(json.dumps({"catalogue": known, "hub": hub["repositories"], "problem": problem}, indent=2))
        return
    free_bytes = api.get("/machine")["memory"]["free_bytes"]
    rows = [_known_row(model, free_bytes) for model in known]
    rows += [row for repository in hub["repositories"] for row in _hub_rows(repository)]
    if rows:
        table(("MODEL", "DOWNLOAD", "MEMORY", "FITS"), rows)
        say("Next: foundrylocal pull MODEL")
    else:
        say(f"No model matches '{query}'. Next: fewer words, or foundrylocal list --all.")
    if problem:
        say(f"The hub could not be searched: {problem}")


def _described(model: dict[str, Any]) -> str:
    """What the words of a search are looked for in: its names and what it is for."""
    return f"{model['model_id']} {model.get('family')} {purpose_of(model)}".lower()


def _on_hub(api: ManagementClient, query: str, limit: int) -> tuple[dict[str, Any], str | None]:
    """What the hub has; without a network the catalog alone is still an answer."""
    try:
        answer = api.post("/models/search", {"query": query, "limit": limit}, timeout_s=SEARCH_TIMEOUT_S)
    except Refused as refusal:
        if refusal.code in ("invalid_request", "invalid_api_key"):
            raise
        return {"repositories": []}, refusal.why or refusal.what
    return answer, None


def _known_row(model: dict[str, Any], free_bytes: int) -> tuple[str, ...]:
    needed = model["needed_memory_bytes"]
    fits = "unknown" if needed is None else _fits(needed <= free_bytes)
    size = model["file_size_formatted"] if model["file_size_bytes"] else "unknown"
    fits = "downloaded" if model["is_downloaded"] else fits
    return str(model["simple_name"]), str(size), memory_of(model) or "unknown", fits


def _hub_rows(repository: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            f"{repository['repo']}:{choice['quantization']}",
            str(choice["file_size_formatted"] or "unknown"),
            memory_of(choice) or "unknown",
            "unknown" if choice["fits_memory"] is None else _fits(choice["fits_memory"]),
        )
        for choice in repository["choices"]
    ]


def _fits(does_fit: bool) -> str:
    return "yes" if does_fit else "no"
