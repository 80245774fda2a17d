"""The hub's own HTTP client, as it is used here: bounded waits, and where it may connect.

Invariant: no request leaves for a private address or without TLS unless the hub itself, by the user's
HF_ENDPOINT, is such a place.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import constants, get_session

from foundrylocal.downloads.hub_child.wire import Failure

CONNECT_S = 10.0


def prepare(request: dict[str, Any]) -> None:
    """Guard the client that every call of huggingface_hub uses; `stall_s` bounds a wait for bytes."""
    if not _is_private(urlsplit(constants.ENDPOINT).hostname or ""):
        client = get_session()
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "request": [*hooks.get("request", []), _refuse_inner_places]}


def timeouts(stall_s: float) -> tuple[float, float, float, float]:
    """Connect, read, write and pool, in seconds, as the client takes them."""
    return (CONNECT_S, stall_s, stall_s, CONNECT_S)


def _refuse_inner_places(request: Any) -> None:
    """Called by the client before each request, those after a redirect too."""
    if request.url.scheme != "https" or _is_private(request.url.host):
        raise Failure("refused", "The hub sent the download to an address that is not allowed.")


def _is_private(host: str) -> bool:
    """Whether a host is, by name or by what it resolves to, not on the open internet."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        # Behind a proxy names need not resolve here; without one the connection fails by itself.
        return False
    return any(not ipaddress.ip_address(entry[4][0]).is_global for entry in found)
