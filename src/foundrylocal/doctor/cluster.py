"""Checks of this machine as a node of a cluster.

Invariant: nothing is sent to the cluster but an attempt to connect, and no check shows the token.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from foundrylocal.doctor.finding import Finding, error, ok, warning
from foundrylocal.engine.ray.node.address import HeadAddress
from foundrylocal.engine.ray.node.installed import installation_problem, ray_version
from foundrylocal.engine.ray.node.record import NodeRecord
from foundrylocal.engine.ray.node.token import is_private, read_token, token_path

CONNECT_TIMEOUT_S = 3.0
_EVERY_INTERFACE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what is looked for
_COPY_IT = "foundrylocal cluster token --set (with what `foundrylocal cluster token` shows on the head)"


def check_ray() -> Finding:
    """Whether Ray is installed in the version that this program works with."""
    problem = installation_problem()
    return ok(f"Ray {ray_version()} is installed.") if problem is None else error(*problem)


def check_token(state: Path, head: HeadAddress | None, is_in_environment: bool) -> Finding:
    """Whether there is a token, which only the user can read; blocking."""
    if is_in_environment:
        return ok("Ray's own variables give the token.")
    if read_token(state) is None:
        if head is None or head.is_loopback:
            return ok("There is no token, and no cluster that other machines reach.")
        return error(f"There is no token for the cluster at {head}.", _COPY_IT)
    path = token_path(state)
    if not is_private(path):
        return error(
            f"Other users can read the token in {path}.",
            f"chmod 600 {path}, then make a new one on the head.",
        )
    return ok(f"The token in {path} is readable by you alone.")


def check_node(record: NodeRecord | None) -> Finding:
    """Whether a node of this home runs."""
    if record is None:
        return warning(
            "No node of this home is running.",
            "foundrylocal cluster head, or foundrylocal cluster join ADDRESS",
        )
    role = "The head" if record.role == "head" else f"A node of the cluster at {record.head}"
    return ok(f"{role} runs here as {record.address} (pid {record.pid}).")


def check_head(head: HeadAddress | None) -> Finding:
    """Whether the head accepts a connection; blocking."""
    if head is None:
        return ok("No cluster is set.")
    try:
        with socket.create_connection((head.host, head.port), CONNECT_TIMEOUT_S):
            return ok(f"The head at {head} can be reached.")
    except TimeoutError:
        return error(
            f"The head at {head} did not answer within {CONNECT_TIMEOUT_S:g} s.",
            "Check the address, and that no firewall drops connections between the nodes.",
        )
    except OSError as failure:
        return error(
            f"The head at {head} cannot be reached: {failure.strerror or failure}.",
            "Check that `foundrylocal cluster head` runs there, and that its address is right.",
        )


def check_ports(record: NodeRecord | None) -> Finding:
    """Which ports of the node listen on every network interface; Ray does so whatever address it was given."""
    if record is None:
        return ok("No node runs here.")
    ports = sorted(_open_ports(record.pid))
    if not ports:
        return ok("No port of the node listens on every network interface.")
    shown = ", ".join(map(str, ports[:12])) + (f" and {len(ports) - 12} more" if len(ports) > 12 else "")
    return warning(
        f"{len(ports)} ports of the node listen on every network interface: {shown}.",
        "Let only the other nodes reach this machine's ports (firewall, private network, or WireGuard): "
        "docs/explanation/cluster.md.",
    )


def _open_ports(pid: int) -> set[int]:
    try:
        node = psutil.Process(pid)
        return set(_listening([node, *node.children(recursive=True)]))
    except psutil.Error:
        return set()


def _listening(processes: Iterable[psutil.Process]) -> Iterable[int]:
    for process in processes:
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue  # it has ended, or belongs to another user
        for one in connections:
            if one.status == psutil.CONN_LISTEN and one.laddr.ip in _EVERY_INTERFACE:
                yield one.laddr.port


def check_versions(answer: dict[str, Any] | None) -> Finding:
    """Whether every node runs the service's version; `answer` is that of GET /cluster."""
    if answer is None:
        return warning(
            "No service of this home answers, so the nodes cannot be listed.", "foundrylocal serve"
        )
    if answer["state"] == "unreachable":
        return error(f"{answer['message']}.", answer["action"])
    others = [
        f"{node['name']} ({node['versions']['foundrylocal']})"
        for node in answer["nodes"]
        if node["has_other_version"]
    ]
    if others:
        return error(
            f"Nodes with another version of FoundryLocal get no models: {', '.join(others)}.",
            "Install the service's version on them, then: foundrylocal cluster leave, and join again.",
        )
    lost = [node["name"] for node in answer["nodes"] if node["state"] != "alive"]
    if lost:
        return warning(f"Nodes that do not answer: {', '.join(lost)}.", "foundrylocal cluster status")
    return ok(f"{answer['total_count']} nodes answer with this version.")
