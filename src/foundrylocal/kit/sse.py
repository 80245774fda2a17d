"""Server-sent events as the published clients parse them: one `data:` line and a blank line, in one write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

KEEPALIVE = b": keepalive\n\n"


def encode(data: object, *, number: int | None = None) -> bytes:
    """Encode one event. Compact JSON never contains a line break; `id:` comes after `data:`."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # JavaScript and EventSource split on \n and \r only, but Python's splitlines splits on these too.
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")
    tail = f"id: {number}\n" if number is not None else ""
    return f"data: {text}\n{tail}\n".encode("utf-8", "replace")


def parse(lines: Iterable[str]) -> Iterator[str]:
    """Yield the data of each event, given lines without line endings; skip comments and other fields."""
    for line in lines:
        if line.startswith("data:"):
            yield line[5:].removeprefix(" ")
