"""Modelfiles: the text form of what /api/create takes, which older clients send.

Read line by line; a text in triple quotes may have several lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from foundrylocal.gateway.dialects.refusals import refuse

_QUOTES = '"""'
_LISTS = ("stop",)


@dataclass
class Modelfile:
    """What a Modelfile says; `others` are its instructions that this service does not have."""

    base: str | None = None
    system: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def read_modelfile(text: str) -> Modelfile:
    """Raises InvalidRequest for a text without its end."""
    found = Modelfile()
    for instruction, value in _instructions(text):
        match instruction:
            case "FROM":
                found.base = value
            case "SYSTEM":
                found.system = value
            case "PARAMETER":
                name, _, given = value.partition(" ")
                _add_parameter(found.parameters, name, _value(given.strip()))
            case "LICENSE":
                pass
            case _:
                found.others.append(instruction)
    return found


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = iter(text.splitlines())
    for line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        instruction, _, value = stripped.partition(" ")
        value = value.strip()
        if value.startswith(_QUOTES):
            value = _quoted(value.removeprefix(_QUOTES), lines)
        elif instruction.upper() != "PARAMETER":
            value = _unquoted(value)
        yield instruction.upper(), value


def _quoted(begun: str, lines: Iterator[str]) -> str:
    """A text in triple quotes, from its first line on."""
    before, quotes, _ = begun.partition(_QUOTES)
    parts = [before]
    while not quotes:
        line = next(lines, None)
        if line is None:
            refuse("modelfile", 'has an unterminated text in """')
        before, quotes, _ = line.partition(_QUOTES)
        parts.append(before)
    return "\n".join(parts).strip("\n")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _value(text: str) -> Any:
    """A number where it is one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return _unquoted(text)
    return value if isinstance(value, int | float | bool | str) else text


def _add_parameter(parameters: dict[str, Any], name: str, value: Any) -> None:
    if name in _LISTS:
        parameters.setdefault(name, []).append(str(value))
    else:
        parameters[name] = value
