"""`foundrylocal engine`: list the engines, and add or remove llama-server binaries in the settings of this home.

Adding writes the saved settings itself, since an HTTP caller must not choose which program is run
(docs/decisions/0006). A running service takes the change up with the next load.
"""

from __future__ import annotations

import json
import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import say, say_beside, table
from foundrylocal.kit.sizes import format_bytes


class Action(StrEnum):
    LIST = "list"
    ADD = "add"
    RM = "rm"


def command(
    action: Annotated[Action, typer.Argument(help="list, add NAME PATH, or rm NAME.")] = Action.LIST,
    name: Annotated[str | None, typer.Argument(help="The engine's name, as loads choose it.")] = None,
    path: Annotated[Path | None, typer.Argument(help="The llama-server binary to add.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Add the binary even if it does not run on this machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the engines; add or remove llama-server binaries.

    \b
    Examples:
      foundrylocal engine
      foundrylocal engine add cuda /opt/llama.cpp/llama-server
      foundrylocal engine rm cuda
    """
    if action is Action.LIST:
        _list(as_json=as_json)
    elif action is Action.ADD:
        if name is None or path is None:
            raise Failure(
                "An engine needs a name and a binary", None, "foundrylocal engine add NAME PATH", exit_code=2
            )
        _add(name, path, force=force)
    else:
        if name is None:
            raise Failure("Which engine?", None, "foundrylocal engine rm NAME", exit_code=2)
        _remove(name)


def _list(*, as_json: bool) -> None:
    answer = ManagementClient().get("/engines")
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    table(
        ("ENGINE", "VERSION", "STATE", "DEVICES"), [_row(one, answer["current"]) for one in answer["engines"]]
    )
    for one in answer["engines"]:
        if one["message"]:
            say_beside("", f"{one['name']}: {one['message']} {one['action'] or ''}".rstrip())


def _row(engine: dict[str, Any], current: str) -> tuple[str, ...]:
    devices = ", ".join(
        f"{device['name']} ({format_bytes(device['free_bytes'])} of {format_bytes(device['memory_bytes'])} free)"
        for device in engine["devices"]
        if device["kind"] != "cpu"
    )
    mark = " (current)" if engine["name"] == current else ""
    return (engine["name"] + mark, engine["version"] or "-", engine["state"], devices or "CPU only")


def _add(name: str, path: Path, *, force: bool) -> None:
    report = _examine(name, path.absolute())
    if not report.is_ready and not force:
        raise Failure(
            f"Engine '{name}' was not added: it cannot run here",
            f"{report.message} {report.action}",
            f"foundrylocal engine add {name} PATH with the right path; --force adds it anyway",
        )
    _change(name, str(path.absolute()))
    say(f"Engine '{name}' added: {report.version or 'version unknown'}.")
    devices = ", ".join(device.name for device in report.devices)
    say(f"Devices: {devices or 'CPU only, it reports no GPU'}.")
    if report.message:
        say_beside("", report.message)
    say_beside(
        "", f"Next: foundrylocal set MODEL engine={name}, or for all models foundrylocal config engine={name}"
    )


def _examine(name: str, path: Path) -> Any:
    import anyio

    from foundrylocal.engine.llama_server.engine import LlamaServer

    async def ask() -> Any:
        return await LlamaServer(name, path).report()

    # What it logs is in the report that is shown.
    logging.getLogger("foundrylocal").addHandler(logging.NullHandler())
    return anyio.run(ask)


def _remove(name: str) -> None:
    from foundrylocal.home.folders import Folders
    from foundrylocal.settings.saved_file import NAME, read_saved

    try:
        saved = read_saved(Folders.locate().config / NAME)
    except (OSError, ValueError) as error:
        raise Failure("The saved settings cannot be read", str(error), "foundrylocal doctor") from error
    if name not in (saved.get("engines") or {}):
        raise Failure(
            f"There is no engine '{name}' in the settings of this home", None, "foundrylocal engine list"
        )
    _change(name, None)
    say(f"Engine '{name}' removed. Models that run on it keep running until they are unloaded.")


def _change(name: str, path: str | None) -> None:
    from foundrylocal.home.folders import Folders
    from foundrylocal.settings.saved_file import change_engines

    folders = Folders.locate()
    folders.create()
    try:
        change_engines(folders.config, name, path)
    except ValueError as error:
        raise Failure(
            f"Engine '{name}' cannot be saved",
            _only_reason(error),
            "foundrylocal engine add NAME PATH with another name or path",
            exit_code=2,
        ) from error
    except OSError as error:
        raise Failure(
            "The settings cannot be saved", error.strerror or str(error), "foundrylocal doctor"
        ) from error
    if os.environ.get("FOUNDRYLOCAL_ENGINES"):
        say("FOUNDRYLOCAL_ENGINES is set here: a service that has it too uses it instead of what is saved.")


def _only_reason(error: ValueError) -> str:
    from pydantic import ValidationError

    from foundrylocal.settings.sources import describe

    return describe(error) if isinstance(error, ValidationError) else str(error)
