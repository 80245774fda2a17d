"""`keep_alive`: how long a model stays in memory after a request, as Ollama's clients write it."""

from __future__ import annotations

import math
import re
from typing import NoReturn

from foundrylocal.gateway.dialects.refusals import refuse

FOREVER_S = math.inf
KeepAlive = float | int | str

_MAX_CHARS = 64
# Go's notation of durations: numbers with units, such as 1h30m or 1.5s.
_PART = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>ns|us|µs|μs|ms|s|m|h)")
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def keep_alive_s(given: KeepAlive | None) -> float | None:
    """Seconds, FOREVER_S for anything below 0; None when the request does not say. Raises InvalidRequest.

    A number is in seconds, and so is text without a unit.
    """
    if given is None:
        return None
    seconds = _parse(given.strip()) if isinstance(given, str) else float(given)
    return FOREVER_S if seconds < 0 else seconds


def _parse(text: str) -> float:
    sign = -1.0 if text.startswith("-") else 1.0
    amount = text.removeprefix("-").removeprefix("+") if text else ""
    if not amount or len(amount) > _MAX_CHARS:
        _refuse()
    if _NUMBER.fullmatch(amount):
        return sign * float(amount)
    seconds, at = 0.0, 0
    while at < len(amount):
        found = _PART.match(amount, at)
        if found is None:
            _refuse()
        seconds += float(found["number"]) * _UNIT_S[found["unit"]]
        at = found.end()
    return sign * seconds


def _refuse() -> NoReturn:
    refuse(
        "keep_alive", "must be a number of seconds or a duration such as '5m' or '1h30m'; -1 means forever"
    )
