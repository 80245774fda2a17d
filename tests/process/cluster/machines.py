"""A Ray cluster on this machine: a head and nodes on loopback addresses, each with a home of its own.

Not a fake: the nodes are those that `foundrylocal cluster` starts. Invariant: when it is closed, none of its
processes is left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psutil

from foundrylocal.engine.node import NodeVersions, own_versions
from foundrylocal.engine.ray.node.address import HeadAddress
from foundrylocal.engine.ray.node.command import NodeOffer, head_command, join_command, session_folder
from foundrylocal.engine.ray.node.environment import ray_environment
from foundrylocal.engine.ray.node.process import NodeProcess

MB = 1024 * 1024
HEAD = "127.0.1.1"
FIRST, SECOND = "127.0.1.2", "127.0.1.3"
# The link gives a cluster up after this time without its control service; Ray's own value is 60.
RECONNECT_TIMEOUT_S = 5
ALL_MEMORY_MB = 4000


class Node:
    """One started node; `cache` is where it keeps models."""

    def __init__(self, folder: Path, address: str, process: NodeProcess, pid: int) -> None:
        self.address = address
        self.cache = folder / "cache"
        self._process = process
        self._pid = pid

    def family(self) -> list[psutil.Process]:
        """All its processes."""
        try:
            process = psutil.Process(self._pid)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []

    def named(self, words: str) -> list[psutil.Process]:
        """Those whose command line or title has these words."""
        found = []
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and words in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        """The worker processes that run on it."""
        return self.named("fakes/worker.py")

    def kill(self) -> None:
        """End all of it at once, as when the machine loses power."""
        family = self.family()
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGSTOP)  # so that none of them tells of another's end
        for process in family:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(family, timeout=10)
        self.stop()

    def stop(self) -> None:
        self._process.stop()


class Machines:
    """The cluster; nodes join one after the other.

    `namespaces` are network namespaces that nodes run in, by their addresses; `token` is the file of the cluster's.
    """

    def __init__(
        self,
        folder: Path,
        head: str = HEAD,
        token: Path | None = None,
        namespaces: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self._head = head
        self._token = token
        self._namespaces = namespaces
        self.head_address = HeadAddress(head, _free_port(head))
        self.nodes: dict[str, Node] = {}

    @property
    def address(self) -> str:
        return str(self.head_address)

    @property
    def state(self) -> Path:
        """The state folder that all nodes share: Ray's session folder is found by it."""
        return self._folder / "state"

    @property
    def logs(self) -> Path:
        """Where Ray's processes and the replicas write their logs."""
        return session_folder(self.state) / "session_latest" / "logs"

    def start(
        self,
        address: str,
        memory_mb: int = ALL_MEMORY_MB,
        *,
        offers_head_memory: bool = False,
        versions: NodeVersions | None = None,
        **environment: str,
    ) -> Node:
        """Start a node, and wait until it has joined; the head, which comes first, offers no memory by default.

        `versions` are those that the node shows, in place of its real ones.
        """
        folder = self._folder / address
        folder.mkdir(parents=True, exist_ok=True)
        versions = versions or own_versions()
        is_head = address == self._head
        offer = NodeOffer(address, 0 if is_head and not offers_head_memory else memory_mb * MB, 0)
        state = self.state
        command = (
            head_command(offer, self.head_address, state, versions)
            if is_head
            else join_command(offer, self.head_address, state, versions)
        )
        command = [*command, "--num-cpus=2"]
        if (namespace := self._namespaces.get(address)) is not None:
            command = ["ip", "netns", "exec", namespace, *command]
        own = {
            "FOUNDRYLOCAL_HOME": str(folder),
            "FOUNDRYLOCAL_CACHE_DIR": str(folder / "cache"),
            "RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_TIMEOUT_S),
        }
        base = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRYLOCAL_")}
        process = NodeProcess(
            command, ray_environment(self._token, base | own | environment), folder / "ray.log"
        )
        node = self.nodes[address] = Node(folder, address, process, process.pid)
        process.wait_ready(lambda: False)
        return node

    def kill_gcs(self) -> None:
        """End the cluster's control service at once."""
        for process in self.nodes[self._head].family():
            with contextlib.suppress(psutil.Error):
                if process.name() == "gcs_server":
                    process.kill()

    def close(self) -> None:
        families = [process for node in self.nodes.values() for process in node.family()]
        for node in reversed(self.nodes.values()):
            node.stop()
        _, alive = psutil.wait_procs(families, timeout=5)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(session_folder(self.state), ignore_errors=True)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def short_folder() -> Path:
    """A folder with a short path, as sockets need it."""
    return Path(tempfile.mkdtemp(prefix="fl-"))
