"""`KEY=VALUE` on the command line: settings, presets and load options are written in the same way."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from foundrylocal.cli.failure import Failure, Refused

# What is always a text is taken as it is, so that a system prompt may be a number.
TEXT_OPTIONS = ("system_prompt", "engine", "kv_cache_type")


def parse_pairs(pairs: Iterable[str], example: str, texts: Collection[str] = ()) -> dict[str, Any]:
    """Names and values: JSON where possible (numbers, true, null, lists, objects), otherwise text. Raises Failure."""
    return dict(_parse(pair, example, texts) for pair in pairs)


def _parse(pair: str, example: str, texts: Collection[str]) -> tuple[str, Any]:
    name, mark, text = pair.partition("=")
    if not mark or not name:
        raise Failure(
            f"'{pair}' has no value",
            "Values are written KEY=VALUE.",
            f"write it as in {example}",
            exit_code=2,
        )
    try:
        return name, text if name in texts and text != "null" else json.loads(text)
    except (ValueError, RecursionError):
        return name, text


@contextmanager
def nearest_names(names: Iterable[str]) -> Iterator[None]:
    """Inside the block, a refusal of an unknown option gets the nearest names that there are."""
    try:
        yield
    except Refused as refusal:
        if refusal.code != "invalid_request" or refusal.why is None:
            raise
        from foundrylocal.wire.presets import PresetBody

        for name in names:
            nearest = get_close_matches(name, PresetBody.model_fields, n=3)
            if f"{name}: unknown field" in refusal.why and nearest:
                refusal.why += f" Did you mean {' or '.join(nearest)}?"
        refusal.next_step = "correct that value; foundrylocal set MODEL lists the options"
        raise


def written(value: object) -> str:
    """A value as it is written on the command line."""
    return value if isinstance(value, str) else json.dumps(value)
