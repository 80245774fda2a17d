"""Which origins and hosts pass; the routes of both ports are in tests/contract/test_callers.py."""

from __future__ import annotations

import anyio
import pytest

from foundrylocal.web.asgi import Message, Receive, Scope, Send, send_whole
from foundrylocal.web.security import CallerCheck, allowed_names


def status(
    origin: str | None, allowed_origins: list[str], host: str = "localhost", **hosts: list[str]
) -> int:
    """The status that a page of that origin gets."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send_whole(send, 200, b"")

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin else [])
    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    check = CallerCheck(app, lambda: hosts.get("allowed_hosts", []), lambda: allowed_origins)
    anyio.run(check, scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("origin", "allowed", "expected"),
    [
        ("vscode-webview://1a2b3c", ["vscode-webview://*"], 200),
        ("VSCODE-webview://other", ["vscode-webview://*"], 200),
        ("vscode-webview-evil://x", ["vscode-webview://*"], 403),
        ("https://x.example", ["vscode-webview://*"], 403),
        ("app://obsidian.md", ["app://obsidian.md"], 200),
        ("app://other", ["app://obsidian.md"], 403),
        ("null", ["vscode-webview://*"], 403),
        ("null", ["null"], 200),
        ("*", ["vscode-webview://*"], 403),
    ],
)
def test_a_wildcard_of_an_app_scheme_allows_that_scheme_only(
    origin: str, allowed: list[str], expected: int
) -> None:
    assert status(origin, allowed) == expected


@pytest.mark.parametrize(
    ("bound", "host", "expected"),
    [
        ("127.0.0.2", "127.0.0.2:9500", 200),
        ("192.0.2.7", "192.0.2.7", 200),
        ("192.0.2.7", "192.0.2.8", 403),
        ("2001:db8::7", "[2001:db8::7]:9500", 200),
        ("0.0.0.0", "192.0.2.7", 403),
        ("0.0.0.0", "0.0.0.0", 403),
        ("::", "[2001:db8::7]", 403),
        ("box.local", "box.local", 403),
        ("localhost", "127.0.0.2", 403),
    ],
)
def test_an_address_that_the_port_is_bound_to_is_a_host_of_it(bound: str, host: str, expected: int) -> None:
    assert status(None, [], host, allowed_hosts=allowed_names([], bound)) == expected
