"""All verbs alike: help with examples, --json where something is listed, and errors that say what next."""

from __future__ import annotations

import ast
import os
import pty
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from foundrylocal import cli
from foundrylocal.cli import render
from foundrylocal.cli.failure import NEXT_STEPS
from foundrylocal.cli.verbs import app
from foundrylocal.errors import FoundryLocalError
from tests.fakes.management_api import Run

COLUMNS = 80
# What answers no call of the service, or streams what it says.
WITHOUT_JSON = (
    *(
        "cluster head",
        "cluster join",
        "cluster leave",
        "cluster token",
        "dashboard",
        "run",
        "serve",
        "shutdown",
    ),
    *("service install", "service uninstall", "service start", "service stop"),
)


def commands() -> Iterator[tuple[str, Any]]:
    """Every verb that does something, by its words."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "list_commands"):
            yield " ".join(words), command
            return
        for name in command.list_commands(None):
            yield from below(command.get_command(None, name), (*words, name))

    yield from below(typer.main.get_command(app), ())


COMMANDS = dict(commands())


@pytest.mark.parametrize("words", COMMANDS)
def test_help_fits_and_has_examples_that_parse(words: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    code, out, _ = run(*words.split(), "--help")
    assert code == 0
    assert [line for line in out.splitlines() if len(line) > COLUMNS] == []
    examples = out.partition("  Examples:\n")[2].partition("\n\n")[0].splitlines()
    assert examples, "no example"
    for example in examples:
        typed = shlex.split(example.strip().removeprefix("sudo "))
        assert typed[0] == "foundrylocal" and " ".join(typed[1:]).startswith(words), example
        COMMANDS[words].make_context(words, typed[1 + len(words.split()) :])


@pytest.mark.parametrize("words", sorted(COMMANDS.keys() - set(WITHOUT_JSON)))
def test_what_the_service_answers_can_be_had_as_json(words: str) -> None:
    assert any("--json" in parameter.opts for parameter in COMMANDS[words].params)


def test_port_means_one_thing() -> None:
    helps = {
        parameter.help
        for words, command in COMMANDS.items()
        if not words.startswith("cluster ")  # there it is the cluster's
        for parameter in command.params
        if "--port" in parameter.opts
    }
    assert helps and all("service" in text or "management API" in text for text in helps), helps


def test_a_verb_that_does_not_exist_gets_the_nearest_ones(run: Run) -> None:
    code, _, err = run("lst")
    assert code == 2
    assert "There is no command 'lst'. Did you mean list" in err
    assert "foundrylocal -h" in err


def failures() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(Path(cli.__path__[0]).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Failure":
                yield f"{path.name}:{node.lineno}", node


def test_every_failure_of_the_command_line_says_what_next() -> None:
    found = dict(failures())
    assert len(found) > 30
    assert not [
        place
        for place, call in found.items()
        if len(call.args) < 3 or (isinstance(call.args[2], ast.Constant) and not call.args[2].value)
    ]


def kinds_below(kind: type[FoundryLocalError]) -> Iterator[type[FoundryLocalError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds_below(below)


def test_every_error_of_the_service_has_a_next_step() -> None:
    import foundrylocal.api.app
    import foundrylocal.gateway.app  # noqa: F401 - between them they import every error there is

    assert {kind.code for kind in kinds_below(FoundryLocalError)} - NEXT_STEPS.keys() == set()


# --- tables ---------------------------------------------------------------------------------------------

ROWS = [
    ("SmolLM2-135M-Instruct-Q4_1-GGUF", "135M", "Q4_1", "98.0 MB", "loaded"),
    ("b", "-", "Q8_0", "1.0 GB", ""),
]
TITLES = ("MODEL", "SIZE", "QUANTIZATION", "FILE", "STATE")


def at_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that a terminal of that width gets."""
    master, slave = pty.openpty()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        render.table(TITLES, ROWS)
        render.facts(
            [("Model", "b"), ("Context", "4,096 tokens (auto), shared by 4 requests at a time " * 2)]
        )
        terminal.flush()
        os.write(slave, b"\x04")  # what was written before it can be read
        data = b""
        while not data.endswith(b"\x04"):
            data += os.read(master, 65536)
    os.close(master)
    return data.decode().removesuffix("\x04").replace("\r\n", "\n").splitlines()


def test_a_table_that_is_too_wide_becomes_a_block_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = at_terminal(60, monkeypatch)
    assert lines[:6] == [
        "SmolLM2-135M-Instruct-Q4_1-GGUF",
        "  size          135M",
        "  quantization  Q4_1",
        "  file          98.0 MB",
        "  state         loaded",
        "b",
    ]
    assert lines[6:8] == ["  quantization  Q8_0", "  file          1.0 GB"]
    assert [line for line in lines if len(line) > 60] == []
    assert lines[9].startswith("Context  4,096 tokens")
    assert lines[10].startswith("         ")


def test_a_table_that_fits_has_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at_terminal(120, monkeypatch)[0].split() == list(TITLES)
