"""`foundrylocal config`: show the settings, or change some; the service checks and keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.cli.render import facts, say

# `cachedir` is how the published answer spells cache_dir; the rest is no setting.
_NOT_SETTINGS = ("success", "message", "cachedir")


def config(pairs: Sequence[str], *, is_reset: bool) -> None:
    """Send `KEY=VALUE` changes, if any, and print every setting; raises Failure."""
    changes: dict[str, Any] = dict(_parse(pair) for pair in pairs)
    if is_reset:
        changes["defaults"] = True
    answer = ManagementClient().post("/config", changes)
    if changes:
        say(str(answer["message"]))
    facts([(name, _written(value)) for name, value in answer.items() if name not in _NOT_SETTINGS])


def _parse(pair: str) -> tuple[str, object]:
    """A value is JSON where it can be read so (numbers, true, null, lists), and text otherwise."""
    name, mark, text = pair.partition("=")
    if not mark or not name:
        raise Failure(
            f"'{pair}' is no setting", "A setting is given as KEY=VALUE, as in port=1235.", exit_code=2
        )
    try:
        return name, json.loads(text)
    except ValueError:
        return name, text


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
