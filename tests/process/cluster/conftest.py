"""One Ray cluster and one service for all tests here: starting them takes most of their time."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundrylocal.engine.ray.node.installed import installation_problem
from tests.process.cluster.machines import FIRST, HEAD, RECONNECT_TIMEOUT_S, SECOND, Machines, short_folder
from tests.running import FAKE_WORKER, Service, running, store_tiny_model

# As long as a busy machine needs to start a service and a link.
KEEP_S = 40


class Scene:
    """A service on the head of a cluster, with the fake worker and a tiny model on disk."""

    def __init__(self, machines: Machines, home: Path) -> None:
        self._machines = machines
        self._home = home
        self._stack = contextlib.ExitStack()
        self._service: Service | None = None

    def service(self, keep_s: int = KEEP_S) -> Service:
        """The service, started if there is none."""
        if self._service is None or self._service.process.poll() is not None:
            self._stack.close()
            self._service = self._stack.enter_context(
                running(
                    self._home,
                    worker=FAKE_WORKER,
                    FOUNDRYLOCAL_CLUSTER_ADDRESS=self._machines.address,
                    FOUNDRYLOCAL_CLUSTER_KEEP_SECONDS=str(keep_s),
                    FOUNDRYLOCAL_RESTART_DELAYS_SECONDS="[0.1]",
                    RAY_gcs_rpc_server_reconnect_timeout_s=str(RECONNECT_TIMEOUT_S),
                )
            )
        return self._service

    def running_model(self, keep_s: int = KEEP_S) -> Service:
        """The service with its model running, started if it does not."""
        service = self.service(keep_s)
        if service.status()["status"] != "running":
            service.start()
        return service

    def close(self) -> None:
        self._stack.close()
        self._service = None


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


@pytest.fixture(scope="session")
def scene(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("cluster") / "home"
    store_tiny_model(home)
    scene = Scene(machines, home)
    try:
        yield scene
    finally:
        scene.close()
