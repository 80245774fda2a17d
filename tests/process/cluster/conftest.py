"""One Ray cluster for all tests here: starting it takes most of their time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from foundrylocal.engine.ray.node.installed import installation_problem
from tests.process.cluster.machines import FIRST, HEAD, RECONNECT_TIMEOUT_S, SECOND, Machines, short_folder
from tests.running import FAKE_WORKER, Service, running, store_tiny_model

KEEP_S = 5
Serving = Callable[..., AbstractContextManager[Service]]


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    """A head without memory and two nodes."""
    problem = installation_problem()
    if problem is not None:
        pytest.skip(" ".join(problem))
    folder = short_folder()
    machines = Machines(folder)
    try:
        for address in (HEAD, FIRST, SECOND):
            machines.start(address)
        yield machines
    finally:
        machines.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def serving(machines: Machines, home: Path) -> Serving:
    """A service on the head, with the fake worker and a tiny model on disk; each call runs one in the same home."""
    store_tiny_model(home)

    def serve(**settings: str) -> AbstractContextManager[Service]:
        return running(
            home,
            worker=FAKE_WORKER,
            FOUNDRYLOCAL_CLUSTER_ADDRESS=machines.address,
            FOUNDRYLOCAL_CLUSTER_KEEP_SECONDS=str(KEEP_S),
            RAY_gcs_rpc_server_reconnect_timeout_s=str(RECONNECT_TIMEOUT_S),
            **settings,
        )

    return serve
