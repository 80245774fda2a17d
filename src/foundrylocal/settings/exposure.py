"""Who could reach the service under given settings: no address beyond loopback without a management key."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

from foundrylocal.settings.schema import Settings

HOST_SETTINGS = frozenset({"api_host", "gateway_host"})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a port there; a name but `localhost` counts as one that others reach."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def exposure_problem(settings: Settings) -> str | None:
    """What is wrong, for a person; None when nothing is."""
    if settings.management_key is not None:
        return None
    for name in sorted(HOST_SETTINGS):
        host = getattr(settings, name)
        if not is_loopback(host):
            return (
                f"{name}: '{host}' is reached by others. Set FOUNDRYLOCAL_MANAGEMENT_KEY (16 characters or more), "
                f"or leave {name} at localhost."
            )
    return None


def unusable_reason(host: str) -> str | None:
    """Why nothing can listen on that address of this machine; None when something can. Blocks on name servers."""
    if is_loopback(host):
        return None
    try:
        found = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None
