"""Whether Ray is installed here, and in which version, found out without importing it."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

SUPPORTED = "2.60"
"""The minor version of Ray that the extra `foundrylocal[ray]` pins; nodes with another one are refused by Ray."""
INSTALL = "pip install 'foundrylocal[ray]'"


def ray_version() -> str | None:
    """The version of the installed package; None when there is none."""
    try:
        return version("ray")
    except PackageNotFoundError:
        return None


def installation_problem() -> tuple[str, str] | None:
    """Why this machine cannot be a node of a cluster, and what to do next; None when it can."""
    if sys.platform != "linux":
        return "The nodes of a cluster run on Linux.", "Run this machine's service without a cluster."
    found = ray_version()
    if found is None:
        return "Ray is not installed here.", f"Install it on every node: {INSTALL}"
    if found.split(".")[:2] != SUPPORTED.split("."):
        return (
            f"Ray {found} is installed; this program works with Ray {SUPPORTED}.",
            f"Install that version on every node: {INSTALL}",
        )
    return None
