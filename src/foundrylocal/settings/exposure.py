"""Who can reach the service: no address beyond loopback is allowed without a management key."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

from foundrylocal.settings.schema import Settings

HOST_SETTINGS = frozenset({"api_host", "gateway_host"})


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address. Any name other than `localhost` counts as reachable."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return False


def exposure_problem(settings: Settings) -> str | None:
    """Why these settings would expose the service; None when they do not."""
    if settings.management_key is not None:
        return None
    for name in sorted(HOST_SETTINGS):
        host = getattr(settings, name)
        if not is_loopback(host):
            return (
                f"{name}: other machines can reach '{host}'. "
                f"Set FOUNDRYLOCAL_MANAGEMENT_KEY (16 characters or more), or keep {name} at localhost."
            )
    return None


def unusable_reason(host: str) -> str | None:
    """Why the service cannot listen on that address; None when it can. Blocks on name servers."""
    if is_loopback(host):
        return None
    try:
        found = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    except UnicodeError:  # a label of more than 63 characters
        return "It is not a valid host name."
    return None
