"""Where the hub's client may connect: the hub itself, the public internet over TLS, and hosts that the user allows.

Invariant: an address that is not on the public internet is connected to only if it is the hub's own (the user's
HF_ENDPOINT), a host in the setting `hub_allowed_hosts`, or the user's proxy.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple
from urllib.request import getproxies

from foundrylocal.downloads.hub_child.messages import Failure

# Strict, so that no other parser of the same URL can find another host in it: no credentials, no backslash, nothing
# but a host and a port.
_ORIGIN: Final = re.compile(
    r"(https?)://(?:([a-z0-9._-]+)|\[([0-9a-f:.]+)\])(?::([0-9]{1,5}))?(?=[/?#]|$)", re.IGNORECASE
)
_PORTS: Final = {"http": 80, "https": 443}
# These networks embed an IPv4 address in the last four bytes: NAT64, and the older ::a.b.c.d.
_EMBEDDING_NETWORKS: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


class Origin(NamedTuple):
    """The other end of a request."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin | None:
    """The origin of a URL; None if it is not plainly http or https."""
    found = _ORIGIN.match(url)
    if found is None:
        return None
    scheme = found[1].lower()
    return Origin(scheme, (found[2] or found[3]).lower(), int(found[4] or _PORTS[scheme]))


class Places:
    """The allowed destinations, for a hub at `endpoint` and the hosts that the user allows."""

    def __init__(self, endpoint: str, allowed_hosts: Iterable[str]) -> None:
        self._hub = origin_of(endpoint)
        self._allowed = frozenset(host.strip("[]").lower() for host in allowed_hosts)

    def is_hub(self, url: str) -> bool:
        """Whether a URL has exactly the hub's origin, the only one that gets the token."""
        return self._hub is not None and origin_of(url) == self._hub

    def require(self, url: str) -> None:
        """Check a URL before it is requested. Raises Failure of kind `refused`."""
        origin = origin_of(url)
        if origin is not None and (origin == self._hub or origin.host in self._allowed):
            return
        if origin is None or origin.scheme != "https":
            raise _refusal()
        # Behind a proxy names need not resolve here; without one the connection fails anyway.
        if any(_is_not_public(address) for address in _addresses(origin.host)):
            raise _refusal()

    def require_connection(self, address: str, port: int) -> None:
        """Check the address itself at the moment of connecting, when it can no longer change."""
        if not _is_not_public(address):
            return
        if self._hub is not None and port == self._hub.port and address in _addresses(self._hub.host):
            return
        if not any(address in _addresses(host) for host in (*self._allowed, *_proxies())):
            raise _refusal()


def _refusal() -> Failure:
    return Failure(
        "refused",
        "The hub sent the download to an address that is not allowed (setting hub_allowed_hosts).",
    )


def _addresses(host: str) -> set[str]:
    try:
        found: list[Any] = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {entry[4][0] for entry in found}


def _proxies() -> Iterator[str]:
    for url in getproxies().values():
        # As the client does: a proxy may be written without a scheme, and with credentials.
        where = url.partition("://")[2] or url
        origin = origin_of(f"http://{where.rpartition('@')[2]}")
        if origin is not None:
            yield origin.host


def _is_not_public(address: str) -> bool:
    """Whether an address is not on the public internet; one that embeds another counts as that one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(found, ipaddress.IPv6Address):
        embedded = found.ipv4_mapped or found.sixtofour
        if embedded is None and any(found in network for network in _EMBEDDING_NETWORKS):
            embedded = ipaddress.IPv4Address(found.packed[-4:])
        if embedded is not None:
            return _is_not_public(str(embedded))
        if found.is_site_local:
            return True
    return not found.is_global or found.is_multicast or found.is_reserved
