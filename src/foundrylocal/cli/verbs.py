"""The command line, derived from `commands/`: each module there is one verb, named after it.

A module's `command` function is the verb: its signature gives the arguments, its docstring the help. A verb with
subcommands has a dictionary `COMMANDS` of such functions by name instead, and its help in `HELP`.
Invariant: running a verb imports only that verb's module; the help imports them all.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from foundrylocal.cli import commands

_PLAIN: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


@cache
def verb_names() -> list[str]:
    """The names of all verbs."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(commands.__path__))


class _Verbs(TyperGroup):
    """Loads a verb when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return verb_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in verb_names():
            return None
        module = import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}")
        subcommands: dict[str, Any] | None = getattr(module, "COMMANDS", None)
        if subcommands is None:
            verb = typer.Typer(**_PLAIN)
            verb.command(cmd_name)(module.command)
        else:
            verb = typer.Typer(name=cmd_name, help=module.HELP, no_args_is_help=True, **_PLAIN)
            verb.callback()(lambda: None)  # keeps it a group, whatever the number of its subcommands
            for name, function in subcommands.items():
                verb.command(name)(function)
        return typer.main.get_command(verb)


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    epilog="The verbs call the service of this home, wherever it listens, or the one at FOUNDRYLOCAL_URL.",
    **_PLAIN,
)


@app.callback()
def _root() -> None:
    """Run a language model on your own machine and manage it over a plain HTTP API."""
