"""Tests with real Ray nodes that take minutes: `make cluster` runs them, `make test` does not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundrylocal.engine.ray.node.installed import installation_problem
from tests.process.cluster.machines import FIRST, HEAD, SECOND, Machines, short_folder

IS_ASKED_FOR = os.environ.get("CLUSTER_SLOW") == "1"
collect_ignore_glob = [] if IS_ASKED_FOR and installation_problem() is None else ["test_*.py"]
# Room for one replica of the starter model, so that each node gets one.
NODE_MB = 300


def starter_settings(machines: Machines, cache: Path) -> dict[str, str]:
    """The settings of a service that runs two replicas of the starter model, one on each node."""
    return {
        "FOUNDRYLOCAL_CACHE_DIR": str(cache),
        "FOUNDRYLOCAL_CLUSTER_ADDRESS": machines.address,
        "FOUNDRYLOCAL_REPLICAS": "2",
        "FOUNDRYLOCAL_THREADS": "1",
        "FOUNDRYLOCAL_CONTEXT_SIZE": "2048",
        "FOUNDRYLOCAL_MEMORY_RESERVE_MB": "0",
    }


@pytest.fixture
def machines() -> Iterator[Machines]:
    """A head without memory and two nodes that have room for one replica each."""
    folder = short_folder()
    machines = Machines(folder)
    try:
        for address in (HEAD, FIRST, SECOND):
            machines.start(address, NODE_MB)
        yield machines
    finally:
        machines.close()
        shutil.rmtree(folder, ignore_errors=True)
