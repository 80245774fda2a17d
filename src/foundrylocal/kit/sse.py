"""Server-sent events as the published clients parse them: one `data:` line and a blank line, in one write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

KEEPALIVE = b": keepalive\n\n"


def encode(data: object) -> bytes:
    """Encode one event."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # JavaScript and EventSource split on \n and \r only, but Python's splitlines splits on these too.
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")
    return frame(text.encode("utf-8", "replace"))


def frame(compact_json: bytes, *, number: int | None = None) -> bytes:
    """One event from JSON without line breaks; `id:` comes after `data:`."""
    tail = b"id: %d\n" % number if number is not None else b""
    return b"data: %b\n%b\n" % (compact_json, tail)


def parse(lines: Iterable[str]) -> Iterator[str]:
    """Yield the data of each event, given lines without line endings; skip comments and other fields."""
    for line in lines:
        if line.startswith("data:"):
            yield line[5:].removeprefix(" ")
