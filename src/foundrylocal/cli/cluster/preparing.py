"""What must hold before a node starts: Ray is installed, its address is usable, its folder is private.

Invariant: each check fails with what to do next, and nothing has been started by then.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import anyio

from foundrylocal.catalog.memory import available_bytes
from foundrylocal.cli.failure import Failure
from foundrylocal.engine.engines import Engines
from foundrylocal.engine.llama_cpp.engine import BuiltInEngine
from foundrylocal.engine.ray.node.address import HeadAddress, UnusableAddress, check_own
from foundrylocal.engine.ray.node.command import session_folder
from foundrylocal.engine.ray.node.environment import has_token
from foundrylocal.engine.ray.node.installed import installation_problem
from foundrylocal.engine.ray.node.record import find_node
from foundrylocal.engine.ray.node.token import find_token
from foundrylocal.errors import FoundryLocalError
from foundrylocal.home.folders import Folders
from foundrylocal.settings.store import SettingsStore

_MB = 1024 * 1024
# What Ray's own processes take on a node: measured 213 MB, and 530 MB on the head.
RAY_BYTES = 512 * _MB


def home_folders() -> Folders:
    """The folders of this home, for a node that may start. Raises Failure."""
    problem = installation_problem()
    if problem is not None:
        raise Failure("This machine cannot be a node of a cluster", problem[0], problem[1])
    folders = Folders.locate()
    folders.create()
    running = find_node(folders.state)
    if running is not None:
        raise Failure(
            f"A node of this home is running already ({running.address}, pid {running.pid})",
            "One home runs one node.",
            "foundrylocal cluster leave, or set FOUNDRYLOCAL_HOME to another folder",
        )
    return folders


def usable_address(address: str) -> str:
    """The address, if a node of this machine can use it. Raises Failure."""
    try:
        check_own(address)
    except UnusableAddress as problem:
        raise Failure(problem.reason, None, problem.action, exit_code=2) from problem
    return address


def check_port_is_free(head: HeadAddress) -> None:
    """Whether the head can listen there. Raises Failure."""
    family = socket.AF_INET6 if ":" in head.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((head.host, head.port))
    except OSError as error:
        raise Failure(
            f"The head cannot listen on {head}",
            error.strerror or str(error),
            "foundrylocal cluster head --port PORT",
        ) from error


def require_token(folders: Folders, head: HeadAddress) -> Path | None:
    """The file of the cluster's token; None on loopback, where a cluster may do without. Raises Failure."""
    token = find_token(folders.state)
    if not has_token(token) and not head.is_loopback:
        raise Failure(
            f"This home has no token for the cluster at {head}",
            "Without one, anyone who reaches a node could run programs on it.",
            "foundrylocal cluster token --set (with what `foundrylocal cluster token` shows on the head)",
        )
    return token


def offered_bytes(folders: Folders, memory_mb: int | None) -> int:
    """What the node offers to models: as asked, or by the settings of this home, or what is free beside Ray."""
    budget_mb = SettingsStore(folders.config).current.memory_budget_mb if memory_mb is None else memory_mb
    return max(0, available_bytes() - RAY_BYTES) if budget_mb is None else budget_mb * _MB


def offered_gpus(folders: Folders) -> tuple[int, ...]:
    """The free memory of each GPU, by the engine of this home that sees the most of them; asks all of them."""
    settings = SettingsStore(folders.config).current

    async def configured() -> Mapping[str, str]:
        return settings.engines

    async def ask() -> tuple[int, ...]:
        engines = Engines(BuiltInEngine(settings.worker_command), configured)
        for engine in await engines.all():
            with suppress(FoundryLocalError):
                await engine.report()
        return engines.known_gpus()

    return anyio.run(ask)


def _own_uid() -> int:
    if sys.platform == "win32":  # where no node runs
        return 0
    return os.getuid()


def private_session_folder(folders: Folders) -> Path:
    """Make the folder of Ray's sockets, which only this user may enter. Raises Failure."""
    path = session_folder(folders.state)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        is_ours = path.is_dir() and not path.is_symlink() and found.st_uid == _own_uid()
        if is_ours and found.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise Failure(
            f"The folder {path} cannot be made", error.strerror or str(error), "foundrylocal doctor"
        ) from error
    if not is_ours:
        raise Failure(
            f"{path} belongs to another user", "Ray's sockets would be in their hands.", "remove it"
        )
    return path
