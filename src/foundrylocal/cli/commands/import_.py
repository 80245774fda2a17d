"""`foundrylocal import`: use a model file of this machine, or any GGUF repository of the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from foundrylocal.cli import operations
from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure, Refused
from foundrylocal.cli.render import progress_beside, report, say, table

_MODES = ("copy", "move", "link")


def command(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A GGUF file or its folder, a NAME that --list shows, or OWNER/REPO[:QUANTIZATION] on the hub."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What to call the model here.")] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            help="What to do with the file: copy (the default), move, or link to it. A model of another program "
            "is linked unless you say otherwise.",
        ),
    ] = None,
    is_list: Annotated[
        bool, typer.Option("--list", help="List what Ollama, LM Studio and others have on this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Use a GGUF file, or a repository on the hub, as a model.

    \b
    Examples:
      foundrylocal import ~/Downloads/model.gguf --mode link
      foundrylocal import Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0
      foundrylocal import --list
    """
    api = ManagementClient()
    if is_list:
        _list(api.get("/models/importable"), as_json)
        return
    if source is None:
        raise Failure("What should be imported?", None, "foundrylocal import --list", exit_code=2)
    if mode is not None and mode not in _MODES:
        raise Failure(
            f"'{mode}' is not a mode",
            f"Write one of {', '.join(_MODES)}.",
            f"foundrylocal import {source} --mode link",
            exit_code=2,
        )
    body = _listed_body(api, source, name, mode) or operations.import_body(source, name, mode or "copy")
    with progress_beside(as_json=as_json):
        answer = operations.import_from_hub(api, body) if "repo" in body else _import_file(api, body)
    model = answer["model_name"]
    report(answer, f"{answer['message']}: {model}\nNext: foundrylocal run {model}", as_json=as_json)


def _import_file(api: ManagementClient, body: dict[str, Any]) -> Any:
    try:
        return api.post("/models/import", body, timeout_s=operations.IMPORT_TIMEOUT_S)
    except Refused as refusal:
        if refusal.code == "invalid_request":
            refusal.next_step = (
                "foundrylocal import FILE with a complete model file, or foundrylocal import --list"
            )
        raise


def _listed_body(
    api: ManagementClient, source: str, name: str | None, mode: str | None
) -> dict[str, Any] | None:
    """What POST /models/import gets for a model of another program, named as the list or that program names it.

    None if `source` is a file or a repository, or if no program has a model of that name.
    """
    if "/" in source or source.lower().endswith(".gguf") or Path(source).exists():
        return None
    wanted = source.lower().replace(":", "-")
    for one in api.get("/models/importable")["models"]:
        if one["name"].lower() in (wanted, f"{wanted}-latest"):
            body = {"path": one["path"], "mode": mode or "link", "name": name or one["name"]}
            return body | ({"projector_path": one["projector_path"]} if one["projector_path"] else {})
    return None


def _list(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, indent=2))
    elif not answer["models"]:
        say("No models of other programs were found on this machine.")
    else:
        rows = [
            (str(one["name"]), str(one["store"]), str(one["file_size_formatted"]), str(one["path"]))
            for one in answer["models"]
        ]
        table(("NAME", "FROM", "SIZE", "PATH"), rows)
        say("Next: foundrylocal import NAME")
