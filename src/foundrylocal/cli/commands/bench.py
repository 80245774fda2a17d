"""`foundrylocal bench`: how fast models are on this machine, through the gateway, compared with the last run."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from foundrylocal.cli.arguments import AsJson, Model
from foundrylocal.cli.bench.history import keep_runs, last_of, read_runs
from foundrylocal.cli.bench.machine import describe_machine
from foundrylocal.cli.bench.measure import Ask, measure_model
from foundrylocal.cli.bench.report import rows
from foundrylocal.cli.bench.stream import Streamed, prompt_of, stream_chat
from foundrylocal.cli.client import HttpClient, ManagementClient, model_path
from foundrylocal.cli.ensure_loaded import RunningServer, ensure_served
from foundrylocal.cli.find_or_start_service import find_or_start
from foundrylocal.cli.operations import download
from foundrylocal.cli.render import facts, say, table
from foundrylocal.kit.clock import format_time, now_s


def command(
    model: Model,
    compare: Annotated[
        str | None, typer.Option("--compare", help="Measure this model too, side by side.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast a model is on this machine.

    Prompts, answers and first tokens at 1, 4 and 16 clients; it takes about a minute for each model.

    \b
    Examples:
      foundrylocal bench SmolLM2-135M-Instruct-Q4_1-GGUF
      foundrylocal bench MODEL --compare OTHER --json
    """
    machine = describe_machine()
    # Progress is for people: with --json, stdout is the answer alone.
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        figures = _measure([model, *([compare] if compare else [])])
    _finish(machine, figures, as_json=as_json)


def _measure(models: list[str]) -> list[dict[str, Any]]:
    """The figures of each model; a server that was started for them is stopped again."""
    with find_or_start(None, keep=False) as service:
        server = ensure_served(service.api, models[0])
        try:
            names = [_on_disk(service.api, model) for model in models]
            first = int(time.time()) * 10
            return [
                measure_model(name, _asker(server, name), first + 1_000 * number, say).as_json()
                for number, name in enumerate(names)
            ]
        finally:
            if server.is_ours and not service.is_ours:
                service.api.post("/stop")


def _on_disk(api: ManagementClient, name: str) -> str:
    """Make sure the model is on disk; its simple name. Raises Failure if the service does not know it."""
    found = api.get(model_path(name))
    if not found["is_downloaded"]:
        download(api, name)
    return str(found["simple_name"])


def _asker(server: RunningServer, model: str) -> Ask:
    client = HttpClient(server.endpoint, server.key)

    def ask(words: int, number: int, max_tokens: int) -> Streamed:
        return stream_chat(client, model, prompt_of(words, number), max_tokens)

    return ask


def _finish(machine: dict[str, Any], figures: list[dict[str, Any]], *, as_json: bool) -> None:
    state = _state_folder()
    runs = read_runs(state)
    previous = [last_of(runs, one["model"]) for one in figures]
    at = format_time(now_s())
    problem = keep_runs(state, [*runs, *({"at": at, "machine": machine, "figures": one} for one in figures)])
    if as_json:
        print(json.dumps({"at": at, "machine": machine, "runs": figures, "previous": previous}, indent=2))
        return
    say()
    facts([(name.replace("_", " ").capitalize(), value) for name, value in machine.items()])
    say()
    before = [run["figures"] if run else None for run in previous]
    table(("", *(one["model"] for one in figures)), rows(figures, before))
    dates = sorted({str(run.get("at")) for run in previous if run})
    if dates:
        say(f"In parentheses: compared with the last run of the model ({', '.join(dates)}).")
    if problem:
        say(f"This run was not saved for comparison: {problem}.")


def _state_folder() -> Path:
    from foundrylocal.home.folders import Folders

    return Folders.locate().state
