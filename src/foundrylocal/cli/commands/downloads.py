"""`foundrylocal downloads`: what is being downloaded; pause, continue or cancel it."""

from __future__ import annotations

import json
from typing import Any

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.client import ManagementClient, model_path
from foundrylocal.cli.render import report, say, table

HELP = "Show the downloads, and pause, resume or cancel one."


def list_downloads(as_json: AsJson = False) -> None:
    """List the downloads that run, wait or are paused.

    \b
    Examples:
      foundrylocal downloads list
    """
    answer = ManagementClient().get("/downloads")
    if as_json:
        print(json.dumps(answer, indent=2))
    elif not answer["downloads"]:
        say("Nothing is being downloaded. Next: foundrylocal pull MODEL")
    else:
        table(("MODEL", "STATE", "DONE", "LEFT"), [_row(download) for download in answer["downloads"]])


def _row(download: dict[str, Any]) -> tuple[str, ...]:
    progress = download["progress"] or {}
    percent, left_s = progress.get("percent"), progress.get("eta_seconds")
    return (
        str(download["model_name"]),
        str(download["state"]),
        "-" if percent is None else f"{percent:.0f} %",
        "-" if left_s is None else f"{left_s} s",
    )


def pause(model: Model, as_json: AsJson = False) -> None:
    """Pause a download; what was received is kept.

    \b
    Examples:
      foundrylocal downloads pause SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    _report(ManagementClient().post(_path(model, "/pause")), as_json=as_json)


def resume(model: Model, as_json: AsJson = False) -> None:
    """Continue a paused download where it stopped.

    \b
    Examples:
      foundrylocal downloads resume SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    _report(ManagementClient().post(_path(model, "/resume")), as_json=as_json)


def cancel(model: Model, as_json: AsJson = False) -> None:
    """Cancel a download.

    \b
    Examples:
      foundrylocal downloads cancel SmolLM2-135M-Instruct-Q4_1-GGUF
    """
    _report(ManagementClient().delete(_path(model)), as_json=as_json)


def _path(model: str, verb: str = "") -> str:
    return f"/downloads/{model_path(model, verb).removeprefix('/models/')}"


def _report(answer: dict[str, Any], *, as_json: bool) -> None:
    report(answer, f"{answer['message']}: {answer['model_name']}", as_json=as_json)


COMMANDS = {"list": list_downloads, "pause": pause, "resume": resume, "cancel": cancel}
