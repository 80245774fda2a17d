"""How a request is refused for one of its fields: in words that name the field."""

from __future__ import annotations

import re
from typing import NoReturn

from foundrylocal.errors import InvalidRequest

_PLACE = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")


def refuse(param: str, reason: str) -> NoReturn:
    """Raise the InvalidRequest that names its field."""
    raise InvalidRequest(f"Invalid request: '{param}' {reason}", f"{param}: {reason}.", param=param)


def refuse_invalid(text: str, within: str = "") -> NoReturn:
    """Raise the InvalidRequest that msgspec's words stand for; `within` is where the value stood that it read."""
    place = _PLACE.search(text)
    path = place["path"].replace("[...]", "") if place else ""
    path = ".".join(filter(None, (within, path)))
    reason = text[: place.start()] if place else text
    missing = _MISSING.search(text)
    if missing:
        name = f"{path}.{missing['name']}" if path else missing["name"]
        refuse(name, "is required")
    if not path:
        raise InvalidRequest("Invalid request: the body must be a JSON object", f"{reason}.")
    refuse(path, f"is not valid: {reason.replace('`', '')[:1].lower()}{reason.replace('`', '')[1:]}")
