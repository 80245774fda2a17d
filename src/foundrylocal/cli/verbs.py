"""The command line, derived from `commands/`: each module there is one verb, named after it.

A name that Python has taken ends with an underscore there (`import_`). A module's `command` function is the verb: its
signature gives the arguments, its docstring the help, whose first sentence fits into the list of verbs. A verb with
subcommands has a dictionary `COMMANDS` of such functions by name instead, and its help in `HELP`; alone it runs its
`list`, if it has one.
Invariant: running a verb imports only that verb's module; the help imports them all.
"""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from foundrylocal.cli import commands
from foundrylocal.cli.help_page import Verb

_PLAIN: dict[str, Any] = {
    "context_settings": {"help_option_names": ["-h", "--help"]},
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


# What people type who come from elsewhere; the help does not list them.
_SHORT = {"ls": "list"}
# What other programs call it, by what is to be typed here.
_ELSEWHERE = {
    "foundrylocal list": ("models", "tags"),
    "foundrylocal pull MODEL": ("get", "download", "install", "add"),
    "foundrylocal rm MODEL": ("delete", "remove", "del", "uninstall"),
    "foundrylocal run MODEL": ("chat", "ask", "generate"),
    "foundrylocal show MODEL": ("info", "inspect", "describe"),
    "foundrylocal unload MODEL": ("eject",),
    "foundrylocal alias NAME MODEL": ("cp", "copy"),
    "foundrylocal set MODEL system_prompt=TEXT": ("create", "preset", "save"),
    "foundrylocal serve --detach": ("up", "server", "daemon"),
    "foundrylocal shutdown": ("down", "quit", "exit"),
    "foundrylocal logs": ("log",),
    "foundrylocal config": ("settings", "env"),
    "foundrylocal dashboard": ("ui", "gui", "open"),
    "foundrylocal --version": ("version",),
    "foundrylocal --install-completion": ("completion",),
}


@cache
def _modules() -> dict[str, str]:
    """The module of each verb, by the verb's name."""
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    return {name.rstrip("_").replace("_", "-"): name for name in sorted(names)}


def verb_names() -> list[str]:
    """The names of all verbs."""
    return list(_modules())


def _hint(name: str) -> str:
    """What to type instead of a command that does not exist; empty if nothing is near it."""
    for command, others in _ELSEWHERE.items():
        if name in others:
            return f" Use: {command}"
    nearest = get_close_matches(name, [*_modules(), *_SHORT], n=3)
    return f" Did you mean {' or '.join(nearest)}?" if nearest else ""


class _Verbs(TyperGroup):
    """Loads a verb when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return verb_names()

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb; for one that does not exist, the error names the nearest ones."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"There is no command '{name}'.{_hint(name)}")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        cmd_name = _SHORT.get(cmd_name, cmd_name)
        if cmd_name not in _modules():
            return None
        module = import_module(f"{commands.__name__}.{_modules()[cmd_name]}")
        subcommands: dict[str, Any] | None = getattr(module, "COMMANDS", None)
        if subcommands is None:
            verb = typer.Typer(add_completion=False, **_PLAIN)
            verb.command(cmd_name, cls=Verb)(module.command)
        else:
            verb = _group(cmd_name, module.HELP, subcommands)
            for name, function in subcommands.items():
                verb.command(name, cls=Verb)(function)
        return typer.main.get_command(verb)


def _group(name: str, help_text: str, subcommands: dict[str, Any]) -> typer.Typer:
    """A verb with subcommands, which stays a group however many it has."""
    has_list = "list" in subcommands
    group = typer.Typer(
        name=name, help=help_text, no_args_is_help=not has_list, add_completion=False, **_PLAIN
    )

    def run_list(context: typer.Context) -> None:
        if has_list and context.invoked_subcommand is None:
            subcommands["list"]()

    group.callback(invoke_without_command=has_list)(run_list)
    return group


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    epilog="The verbs call the service of this home, wherever it listens, or the one at FOUNDRYLOCAL_URL.",
    **_PLAIN,
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"foundrylocal {version('foundrylocal')}")
        raise typer.Exit


@app.callback()
def _root(
    is_version_asked: Annotated[
        bool,
        typer.Option(
            "--version", "-v", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Run a language model on your own machine and manage it over a plain HTTP API."""
