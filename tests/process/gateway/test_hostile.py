"""Requests that are hard to check: refused or answered, while both ports answer others and nothing holds the loop."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from tests.process.gateway.raw import CHAT, HELLO
from tests.running import Service

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


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BODIES)
def test_row_28_no_body_holds_the_event_loop(service: Service, name: str) -> None:
    service.start()
    with service.gateway() as client:

        def send() -> None:
            client.post(CHAT, content=BODIES[name], headers={"Content-Type": "application/json"}, timeout=100)

        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert service.get("/health").status_code == 200
            assert httpx.get(str(client.base_url).removesuffix("/") + "/health").status_code == 200
    lines = [entry["message"] for entry in service.get("/logs?count=1000").json()]
    held = [line for line in lines if "The event loop was held" in line]
    # A machine that is busy holds the loop anywhere; a check of ours would be among the functions.
    assert not any("foundrylocal.gateway.dialects" in line or "gateway.limits" in line for line in held)
