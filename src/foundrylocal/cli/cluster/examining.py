"""`cluster doctor`: gather what the checks of `doctor/cluster.py` need, on this machine and without a service."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import anyio

import foundrylocal
from foundrylocal.cli.client import ManagementClient
from foundrylocal.cli.failure import Failure
from foundrylocal.doctor import cluster, network
from foundrylocal.doctor.finding import Finding
from foundrylocal.doctor.report import render
from foundrylocal.doctor.runner import Check, in_thread, run_checks
from foundrylocal.engine.ray.node.address import HeadAddress, UnusableAddress, parse_head
from foundrylocal.engine.ray.node.environment import has_token
from foundrylocal.engine.ray.node.record import find_node
from foundrylocal.home.folders import Folders
from foundrylocal.kit.clock import now_s
from foundrylocal.settings.store import SettingsStore


def examine(address: str | None) -> dict[str, Any]:
    """The answer in the shape of `wire/doctor.py`. Raises Failure when the address is not one."""
    folders = Folders.locate()
    head = _head(folders, address)
    return render(anyio.run(run_checks, _checks(folders, head)))


def _head(folders: Folders, address: str | None) -> HeadAddress | None:
    record = find_node(folders.state)
    found = (
        address or (record.head if record else None) or SettingsStore(folders.config).current.cluster_address
    )
    try:
        return parse_head(found) if found else None
    except UnusableAddress as problem:
        raise Failure(problem.reason, None, problem.action, exit_code=2) from problem


def _checks(folders: Folders, head: HeadAddress | None) -> list[Check]:
    return [
        Check("ray", in_thread(cluster.check_ray)),
        Check("token", in_thread(partial(cluster.check_token, folders.state, head, has_token(None)))),
        Check("node", in_thread(lambda: cluster.check_node(find_node(folders.state)))),
        Check("head", in_thread(partial(cluster.check_head, head))),
        Check("ports", in_thread(lambda: cluster.check_ports(find_node(folders.state)))),
        Check("versions", in_thread(lambda: cluster.check_versions(_ask_service()))),
        Check("clock", in_thread(_check_clock)),
    ]


def _ask_service() -> dict[str, Any] | None:
    """What the service of this home says of the cluster; None when none answers."""
    try:
        answer: dict[str, Any] = ManagementClient().get("/cluster")
    except Failure:
        return None
    return answer


def _check_clock() -> Finding:
    installed_s = Path(foundrylocal.__file__).stat().st_mtime
    endpoint = network.hub_endpoint()
    is_offline = network.is_offline(os.environ)
    return network.check_clock(now_s(), installed_s, None if is_offline else network.ask_hub(endpoint, now_s))
