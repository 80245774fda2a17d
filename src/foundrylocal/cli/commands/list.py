"""`foundrylocal list`: the models on this machine, or with `--all` those of the catalog too."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.model_facts import memory_of, purpose_of, speaks
from foundrylocal.cli.render import say, table

GIB = 1024**3


class Purpose(StrEnum):
    CHAT = "chat"
    CODE = "code"
    REASONING = "reasoning"
    VISION = "vision"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    BASE = "base"


def command(
    show_all: Annotated[
        bool, typer.Option("--all", "-a", help="The whole catalog, downloaded or not.")
    ] = False,
    purpose: Annotated[Purpose | None, typer.Option("--for", help="Only models for this purpose.")] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="CODE", help="Only models for a language, such as de.")
    ] = None,
    max_memory: Annotated[
        float | None,
        typer.Option(
            "--max-memory", metavar="GB", min=0.0, help="Only models that need at most this much memory."
        ),
    ] = None,
    downloaded: Annotated[bool, typer.Option("--downloaded", hidden=True)] = False,
    as_json: AsJson = False,
) -> None:
    """List the models on this machine, or all in the catalog.

    MEMORY is what a model needs with its default context; a + means that it needs more, how much is unknown.

    \b
    Examples:
      foundrylocal list
      foundrylocal list --all --for code --language de --max-memory 8
      foundrylocal list --json
    """
    is_all = show_all and not downloaded
    answer = ManagementClient().get("/models" if is_all else "/models/downloaded")
    wanted = _filter(purpose, language, None if max_memory is None else max_memory * GIB)
    models = [model for model in answer["models"] if wanted(model)]
    if as_json:
        print(json.dumps({**answer, "models": models, "total_count": len(models)}, indent=2))
    elif models and is_all:
        table(("MODEL", "FOR", "DOWNLOAD", "MEMORY"), [_catalog_row(model) for model in models])
    elif models:
        table(("MODEL", "SIZE", "QUANTIZATION", "FILE", "STATE"), [_row(model) for model in models])
    elif answer["models"]:
        say(
            "No model matches. Next: fewer conditions"
            + ("." if is_all else ", or --all for the whole catalog.")
        )
    else:
        say(
            "No model is downloaded. Next: foundrylocal pull MODEL; foundrylocal list --all shows their names."
        )


def _filter(
    purpose: Purpose | None, language: str | None, max_bytes: float | None
) -> Callable[[dict[str, Any]], bool]:
    def is_wanted(model: dict[str, Any]) -> bool:
        if purpose is not None and purpose_of(model) != purpose:
            return False
        if language is not None and not speaks(model, language):
            return False
        needed = (model.get("default_memory") or {}).get("needed_bytes") or model.get("needed_memory_bytes")
        return max_bytes is None or (needed is not None and needed <= max_bytes)

    return is_wanted


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    state = "loaded" if model["is_loaded"] else "downloaded" if model["is_downloaded"] else ""
    names = ("simple_name", "size", "quantization", "file_size_formatted")
    return (*(str(model.get(name) or "-") for name in names), state)


def _catalog_row(model: dict[str, Any]) -> tuple[str, ...]:
    download = "loaded" if model["is_loaded"] else "on disk" if model["is_downloaded"] else None
    return (
        str(model["simple_name"]),
        purpose_of(model) or "unknown",
        download or str(model["file_size_formatted"]),
        memory_of(model) or "unknown",
    )
