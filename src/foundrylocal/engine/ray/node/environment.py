"""The environment of every process that belongs to a cluster: of `ray start`, and of the service's link to it.

Invariant: authentication is stated, never left to Ray's default: with a token it is on, without one it is off, which
is allowed on loopback addresses only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# A node that does not answer is lost after about 10 s; with Ray's own values, after longer than a client waits.
_HEALTH_CHECKS = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
_ALWAYS = {
    # Ray ends actors when the memory is nearly full. The planner decides what fits, and a replica that Ray ended
    # would look like a lost node.
    "RAY_memory_monitor_refresh_ms": "0",
    # Ray gives its workers niceness 15, and engines would inherit it.
    "RAY_worker_niceness": "0",
    # Ray refuses nodes whose Python differs in the patch level unless told otherwise.
    "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONUNBUFFERED": "1",
}
# A node runs engines and needs no key of the service.
_SECRETS = ("FOUNDRYLOCAL_MANAGEMENT_KEY",)


def ray_environment(token: Path | None, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`base` with what every process of a cluster needs; `token` is the file of the cluster's token."""
    # Ray's own variable would go before the file.
    dropped = _SECRETS if token is None else (*_SECRETS, "RAY_AUTH_TOKEN")
    kept = {name: value for name, value in base.items() if name not in dropped}
    return {**kept, **_HEALTH_CHECKS, **_ALWAYS, **_authentication(token, kept)}


def has_token(token: Path | None, base: Mapping[str, str] = os.environ) -> bool:
    """Whether the processes will have a token: in the file, or from Ray's own variables, as in Kubernetes."""
    return token is not None or bool(base.get("RAY_AUTH_TOKEN") or base.get("RAY_AUTH_TOKEN_PATH"))


def _authentication(token: Path | None, base: Mapping[str, str]) -> dict[str, str]:
    if token is not None:
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    return {"RAY_AUTH_MODE": "token" if has_token(None, base) else "disabled"}
