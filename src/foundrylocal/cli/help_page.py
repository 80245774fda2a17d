"""How the help of a verb looks: names of values in capitals, as in `pull [OPTIONS] MODEL` and `--port NUMBER`.

Typer writes the Python types of the parameters instead, `{MODEL}` and `--port <int range>`.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand

# What Typer writes for a type: a choice is shown by its values, anything else by a word.
_TYPE = re.compile(r" <([^<>]*)>(?:\.\.\.)?")
_NUMBERS = re.compile(r"int|float")


class Verb(TyperCommand):
    """A verb whose help and errors are written for people."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.replace("Value error, ", "")
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *(_in_usage(one) for one in self.get_params(ctx) if _is_argument(one))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of arguments and options."""
        arguments, options = [], []
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is None:
                continue
            if _is_argument(parameter):
                arguments.append((_name(parameter), record[1].removesuffix("[required]").rstrip()))
            else:
                options.append((_TYPE.sub(_value, record[0]), record[1]))
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _is_argument(parameter: Any) -> bool:
    return isinstance(parameter, TyperArgument) and not parameter.hidden


def _name(parameter: Any) -> str:
    return str(parameter.metavar or str(parameter.name).upper())


def _in_usage(parameter: Any) -> str:
    """`MODEL`, `[PROMPT]` if it may be left out, `NAME...` if there may be several."""
    name = _name(parameter)
    if not (parameter.required or name.startswith("[")):
        name = f"[{name}]"
    return name if parameter.nargs == 1 or name.endswith("...") else f"{name}..."


def _value(found: re.Match[str]) -> str:
    if "|" in found[1]:
        return f" [{found[1]}]"
    return " NUMBER" if _NUMBERS.search(found[1]) else " TEXT"
