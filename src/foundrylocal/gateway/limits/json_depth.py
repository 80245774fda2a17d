"""How deep JSON is nested, found without a parser that would recurse into it."""

from __future__ import annotations

import re

from foundrylocal.gateway.dialects.refusals import refuse

MAX_DEPTH = 32
# A string that does not end reaches to the end of the text: looked for again at each later quote, the work would be
# quadratic.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def is_too_deep(data: bytes) -> bool:
    """Whether it is nested deeper than MAX_DEPTH levels."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for found in _TOKENS.finditer(data):
        first = data[found.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def check_arguments(arguments: str, place: str) -> None:
    """Refuse arguments of a call that the engine, which parses the text, would not survive; raises InvalidRequest."""
    if is_too_deep(arguments.encode("utf-8", "replace")):
        refuse(place, f"is nested deeper than {MAX_DEPTH} levels")
