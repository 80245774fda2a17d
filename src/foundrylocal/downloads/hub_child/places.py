"""Where the hub's client may connect: the hub itself, the open internet over TLS, and what the user allows.

Invariant: an address that is not on the open internet is connected to only when it is the hub's own (the
user's HF_ENDPOINT), a host of the setting `hub_allowed_hosts`, or the user's proxy.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple
from urllib.request import getproxies

from foundrylocal.downloads.hub_child.wire import Failure

# Strict, so that no other reader of the same address can see another host in it: no name and password, no
# backslash, nothing but a host and a port.
_ORIGIN: Final = re.compile(
    r"(https?)://(?:([a-z0-9._-]+)|\[([0-9a-f:.]+)\])(?::([0-9]{1,5}))?(?=[/?#]|$)", re.IGNORECASE
)
_PORTS: Final = {"http": 80, "https": 443}
# What these networks carry is the IPv4 address in the last four bytes: NAT64, and the older ::a.b.c.d.
_CARRIERS: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))


class Origin(NamedTuple):
    """Who is at the other end of a request."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin | None:
    """The origin of an address; None when it is not plainly one of http or https."""
    found = _ORIGIN.match(url)
    if found is None:
        return None
    scheme = found[1].lower()
    return Origin(scheme, (found[2] or found[3]).lower(), int(found[4] or _PORTS[scheme]))


class Places:
    """What may be connected to, for a hub at `endpoint` and the hosts that the user allows besides."""

    def __init__(self, endpoint: str, allowed_hosts: Iterable[str]) -> None:
        self._hub = origin_of(endpoint)
        self._allowed = frozenset(host.strip("[]").lower() for host in allowed_hosts)

    def is_hub(self, url: str) -> bool:
        """Whether an address is of exactly the hub's origin, the only one that sees the token."""
        return self._hub is not None and origin_of(url) == self._hub

    def require(self, url: str) -> None:
        """Refuse an address before it is asked. Raises Failure of kind `refused`."""
        origin = origin_of(url)
        if origin is not None and (origin == self._hub or origin.host in self._allowed):
            return
        if origin is None or origin.scheme != "https":
            raise _refusal()
        # Behind a proxy names need not resolve here; without one the connection fails by itself.
        if any(_is_inner(address) for address in _addresses(origin.host)):
            raise _refusal()

    def require_connection(self, address: str, port: int) -> None:
        """Refuse what a name turned out to be at the very moment of connecting, when it cannot change any more."""
        if not _is_inner(address):
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
        # As the client does: a proxy may be written without its scheme, and with a name and a password.
        where = url.partition("://")[2] or url
        origin = origin_of(f"http://{where.rpartition('@')[2]}")
        if origin is not None:
            yield origin.host


def _is_inner(address: str) -> bool:
    """Whether an address is not on the open internet; one that carries another counts as that one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    if isinstance(found, ipaddress.IPv6Address):
        carried = found.ipv4_mapped or found.sixtofour
        if carried is None and any(found in network for network in _CARRIERS):
            carried = ipaddress.IPv4Address(found.packed[-4:])
        if carried is not None:
            return _is_inner(str(carried))
        if found.is_site_local:
            return True
    return not found.is_global or found.is_multicast or found.is_reserved
