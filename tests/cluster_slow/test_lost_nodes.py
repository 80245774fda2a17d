"""Two replicas of the real starter model, sixteen clients, and a node that loses its power again and again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.cluster_slow.clients import Clients, End
from tests.cluster_slow.conftest import NODE_MB, starter_settings
from tests.process.cluster.machines import Machines, Node
from tests.running import CHAT_MODEL, Service, eventually, running

pytestmark = pytest.mark.timeout(3600)

KILLS = int(os.environ.get("CLUSTER_KILLS", "20"))
MAX_CUT_S = 12.0
SERVING_S = 3.0
TIMEOUT_S = 120


def test_every_answer_that_was_not_begun_arrives(machines: Machines, home: Path, model_cache: Path) -> None:
    with running(home, **starter_settings(machines, model_cache)) as service:
        service.start()
        eventually("both nodes have a replica", lambda: len(serving_nodes(machines)) == 2, TIMEOUT_S)
        health = service.status()["health"]
        clients = Clients(health["endpoint"].removesuffix("/v1"), health["api_key"], CHAT_MODEL)
        with clients.asking():
            for number in range(KILLS):
                lose_a_node(machines, service, clients, number)
        report(clients)
        assert not clients.of(End.BROKEN), clients.of(End.BROKEN)[:3]
        assert not clients.of(End.REFUSED), clients.of(End.REFUSED)[:3]
        slow = [one for one in clients.of(End.CUT) if one.ended_s - one.last_byte_s > MAX_CUT_S]
        assert not slow, slow[:3]


def lose_a_node(machines: Machines, service: Service, clients: Clients, number: int) -> None:
    """Kill a node while answers are under way; wait until both nodes serve again."""
    time.sleep(SERVING_S)  # the clients' own time: answers come and go
    node = serving_nodes(machines)[number % 2]
    node.kill()
    before = len(clients.of(End.WHOLE))
    eventually("the other node answers", lambda: len(clients.of(End.WHOLE)) > before + 4, TIMEOUT_S)
    machines.start(node.address, NODE_MB)
    eventually("both nodes serve again", lambda: len(serving_nodes(machines)) == 2, TIMEOUT_S)
    assert service.process.poll() is None
    report(clients, f"{number + 1}: {node.address}")


def serving_nodes(machines: Machines) -> list[Node]:
    return [node for node in machines.nodes.values() if node.named("foundrylocal.worker")]


def report(clients: Clients, when: str = "in all") -> None:
    counts = ", ".join(f"{len(clients.of(end))} {end.value}" for end in End)
    waits = [one.ended_s - one.last_byte_s for one in clients.of(End.CUT)]
    print(f"{when}: {counts}; the longest silence before an error {max(waits, default=0):.1f} s", flush=True)
