"""The published contract on the launcher of a cluster: the same suite, with every model on a node of Ray."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.process.cluster.machines import HEAD, Machines, short_folder
from tests.running import CLUSTER_LOGS_VARIABLE, CLUSTER_VARIABLE, REPOSITORY, eventually

TIMEOUT_S = 3600


@pytest.fixture
def head() -> Iterator[Machines]:
    """A cluster whose one node is the service's own, with memory for models."""
    folder = short_folder()
    machines = Machines(folder)
    try:
        machines.start(HEAD, 8000, offers_head_memory=True)
        yield machines
    finally:
        machines.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(TIMEOUT_S)
def test_the_published_contract_holds_on_a_cluster(head: Machines) -> None:
    command = [
        sys.executable, "-m", "pytest", "tests/contract", "-q", "-n", "0", "--timeout", "240",
        *(os.environ.get("CONTRACT_ARGS", "").split()),
    ]  # fmt: skip
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**os.environ, CLUSTER_VARIABLE: head.address, CLUSTER_LOGS_VARIABLE: str(head.logs)},
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0
    node = head.nodes[HEAD]
    eventually("no replica is left", lambda: not node.workers() and not node.named("foundrylocal.worker"))
