"""A node behind a cable that is pulled, as root in a network namespace: nothing hangs or stays behind it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundrylocal.engine.ray.node.token import load_or_make_token
from tests.cluster_slow.clients import Clients, End
from tests.process.cluster.machines import Machines, short_folder
from tests.running import CHAT_MODEL, FAKE_WORKER, eventually, left_of, running, store_tiny_model

HEAD, NODE = "10.77.31.1", "10.77.31.2"
NAMESPACE, CABLE, FAR_END = "fl-node", "fl-cable", "fl-far"
KEEP_S = 15
NODE_MB = 60
MAX_SILENCE_S = 12.0
TIMEOUT_S = 90
# Answers that take some seconds each.
WORKER_FLAGS = ("--rate", "8", "--tokens", "24")

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2"
    ),
]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=20)


@pytest.fixture
def cable() -> Iterator[None]:
    """A network of two machines: this one, and a namespace."""
    ip("netns", "add", NAMESPACE)
    try:
        ip("link", "add", CABLE, "type", "veth", "peer", "name", FAR_END)
        ip("link", "set", FAR_END, "netns", NAMESPACE)
        ip("addr", "add", f"{HEAD}/24", "dev", CABLE)
        ip("link", "set", CABLE, "up")
        ip("-n", NAMESPACE, "addr", "add", f"{NODE}/24", "dev", FAR_END)
        ip("-n", NAMESPACE, "link", "set", "lo", "up")
        ip("-n", NAMESPACE, "link", "set", FAR_END, "up")
        yield
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", CABLE)
        ip("netns", "del", NAMESPACE)


@pytest.fixture
def machines(cable: None, home: Path) -> Iterator[Machines]:
    """A head and a node with room for one replica each, and a token."""
    (home / "state").mkdir(parents=True)
    folder = short_folder()
    machines = Machines(folder, HEAD, load_or_make_token(home / "state"), {NODE: NAMESPACE})
    try:
        machines.start(HEAD, NODE_MB, offers_head_memory=True)
        machines.start(NODE, NODE_MB)
        yield machines
    finally:
        machines.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_no_request_hangs_and_nothing_is_left_behind_a_cut_network(machines: Machines, home: Path) -> None:
    store_tiny_model(home)
    with running(
        home,
        worker=[*FAKE_WORKER, *WORKER_FLAGS],
        FOUNDRYLOCAL_CLUSTER_ADDRESS=machines.address,
        FOUNDRYLOCAL_CLUSTER_KEEP_SECONDS=str(KEEP_S),
        FOUNDRYLOCAL_REPLICAS="2",
        FOUNDRYLOCAL_MEMORY_RESERVE_MB="0",
    ) as service:
        service.start()
        far = machines.nodes[NODE]
        eventually("both nodes have a replica", lambda: far.workers() and _here(machines), TIMEOUT_S)
        workers = far.workers()
        health = service.status()["health"]
        clients = Clients(
            health["endpoint"].removesuffix("/v1"), health["api_key"], CHAT_MODEL, 8, max_tokens=24
        )
        with clients.asking():
            time.sleep(4)  # answers are under way on both
            ip("link", "set", CABLE, "down")
            cut_s = time.monotonic()
            assert not left_of(workers, KEEP_S + 5), "a replica behind the cut outlived its lease"
            print(f"replicas behind the cut ended after {time.monotonic() - cut_s:.1f} s")
            time.sleep(3)
        silences = [one.ended_s - one.last_byte_s for one in clients.answers]
        print({end.value: len(clients.of(end)) for end in End}, f"longest silence {max(silences):.1f} s")
        assert max(silences) <= MAX_SILENCE_S
        assert not clients.of(End.BROKEN) and not clients.of(End.REFUSED), [
            one for one in clients.answers if one.end in (End.BROKEN, End.REFUSED)
        ][:3]
        nodes = {one["name"]: one["state"] for one in service.get("/cluster").json()["nodes"]}
        assert nodes[NODE] == "lost"


def _here(machines: Machines) -> bool:
    return bool(machines.nodes[HEAD].workers())
