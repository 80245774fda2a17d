"""Addresses of a cluster: where its head answers, and which address of this machine a node uses.

Invariant: a node never gets an address that Ray replaces by another one: 127.0.0.1 becomes that of the network card.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

DEFAULT_PORT = 6379
LOOPBACK = "127.0.1.1"
"""The address of a cluster on one machine."""
_REPLACED = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - addresses that are refused


class UnusableAddress(ValueError):
    """What is wrong with an address, with the next step."""

    def __init__(self, reason: str, action: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.action = action


@dataclass(frozen=True, slots=True)
class HeadAddress:
    """Where the head answers."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it; any name counts as reachable by others."""
        return is_loopback(self.host)


def parse_head(text: str) -> HeadAddress:
    """HOST or HOST:PORT. Raises UnusableAddress."""
    host, separator, port = text.strip().rpartition(":")
    if not separator or (text.count(":") > 1 and not host.endswith("]")):
        host, port = text.strip(), str(DEFAULT_PORT)
    host = host.strip("[]")
    is_number = port.isascii() and port.isdecimal() and len(port) <= 5
    if not host or not is_number or not 0 < int(port) <= 65535:
        raise UnusableAddress(
            f"'{text[:80]}' is not the address of a cluster.",
            "Write it as HOST:PORT, as `cluster head` printed it.",
        )
    return HeadAddress(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; names do not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_own(address: str) -> None:
    """Whether a node of this machine can use the address; blocking. Raises UnusableAddress."""
    if address in _REPLACED:
        raise UnusableAddress(
            f"A node cannot use {address}: Ray would replace it by the address of a network card.",
            f"Use {LOOPBACK} for a cluster on this machine alone, or the address by which others reach this machine.",
        )
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise UnusableAddress(
            f"'{address[:80]}' is not an IP address.", "Give this machine's own address."
        ) from None
    family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        raise UnusableAddress(
            f"This machine does not have the address {address} ({error.strerror or error}).",
            "List its addresses with: ip -brief address",
        ) from None


def own_address_towards(head: HeadAddress) -> str:
    """The address of this machine that reaches the head; nothing is sent. Raises UnusableAddress."""
    if head.is_loopback:
        raise UnusableAddress(
            f"The head at {head} is on this machine, so a second node needs a loopback address of its own.",
            f"For example: foundrylocal cluster join {head} --address 127.0.1.2",
        )
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(head.host, head.port, type=socket.SOCK_DGRAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise UnusableAddress(
            f"The head at {head} cannot be reached from here ({error.strerror or error}).",
            "Check the address and the network, or name this machine's own address with --address IP.",
        ) from None
