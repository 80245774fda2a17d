"""Bodies of chat requests that are hard to check, each within the size limits."""

from __future__ import annotations

import json
from typing import Any

from tests.process.gateway.raw import HELLO

NODE: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["name"],
}
TOOLS = [{"type": "function", "function": {"name": f"f{n}", "parameters": NODE}} for n in range(128)]
_MB = 1024 * 1024


def _json(**fields: Any) -> bytes:
    return json.dumps(HELLO | fields).encode()


BODIES = {
    "128 recursive tools": _json(tools=TOOLS, tool_choice="required"),
    "8 MB of text": _json(user="x" * (8 * _MB - 200)),
    "8 MB of messages": json.dumps({"messages": HELLO["messages"] * 200_000}).encode()[: 8 * _MB],
    "a string that does not end": b"[" * 33 + b'"' + b'\\"' * (3 * _MB),
    "a string of 8 MB that does not end": b'{"messages": "' + b"x" * (8 * _MB - 100),
    "a grammar of 2,000 blanks": _json(grammar="{" + " " * 2_000),
    "a grammar of blanks": _json(grammar="{" + " " * 60_000),
    "arguments that do not end": _json(
        messages=[
            *HELLO["messages"],
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"function": {"name": "f", "arguments": "[" * 31 + '"' + '\\"' * _MB}}],
            },
            *HELLO["messages"],
        ]
    ),
    "a union of unions": _json(
        json_schema={
            "allOf": [
                {"anyOf": [{"properties": {f"p{n}_{m}": {"const": m}}} for m in range(10)]} for n in range(6)
            ]
        }
    ),
}
