"""Server-sent events as the published clients read them: one `data:` line, a blank line, written at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

KEEPALIVE = b": keepalive\n\n"


def encode(data: object, *, number: int | None = None) -> bytes:
    """One event; compact JSON holds no line break, whatever is inside. `id:` comes after `data:`."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    # JavaScript and EventSource split on \n and \r only, but Python's splitlines also on these.
    text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085")
    tail = f"id: {number}\n" if number is not None else ""
    return f"data: {text}\n{tail}\n".encode("utf-8", "replace")


def parse(lines: Iterable[str]) -> Iterator[str]:
    """The data of each event in lines without their ends; comments and other fields are passed over."""
    for line in lines:
        if line.startswith("data:"):
            yield line[5:].removeprefix(" ")
