"""The hub library's HTTP client with limits: bounded waits, only allowed destinations, the token only for the hub.

Invariant: every client that huggingface_hub creates in this process, also to replace a broken one, checks `Places`
before each request, including those after a redirect, and again when a connection is made.
"""

from __future__ import annotations

import sys
from typing import Any

from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils._http import default_client_factory

from foundrylocal.downloads.hub_child.places import Places

CONNECT_S = 10.0


def prepare(request: dict[str, Any]) -> Places:
    """Guard every connection of this process; returns the allowed destinations."""
    places = Places(constants.ENDPOINT, request["allowed_hosts"])

    def check(outgoing: Any) -> None:
        places.require(str(outgoing.url))
        if not places.is_hub(str(outgoing.url)):
            outgoing.headers.pop("authorization", None)

    def make_client() -> Any:
        client = default_client_factory()
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "request": [*hooks.get("request", []), check]}
        return client

    set_client_factory(make_client)
    _watch_connections(places)
    return places


def timeouts(stall_s: float) -> tuple[float, float, float, float]:
    """Connect, read, write and pool timeouts in seconds, in the client's order."""
    return (CONNECT_S, stall_s, stall_s, CONNECT_S)


def _watch_connections(places: Places) -> None:
    """Check the address that is actually connected to: its name may have resolved to another one before."""

    def on_audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            places.require_connection(str(arguments[1][0]), int(arguments[1][1]))

    sys.addaudithook(on_audit)
