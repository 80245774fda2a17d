"""The service or its link killed at every moment of a start: nothing is left, and no other home is touched."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.cluster.machines import Machines
from tests.running import CHAT_MODEL, FAKE_WORKER, Service, eventually, running, store_tiny_model

KEEP_S = 15
TIMEOUT_S = 90
# From the order to the worker's start, while it loads, and after it is ready.
MOMENTS_S = (0.2, 1.0, 2.0, 3.5, 6.0)
LOAD_S = 2.0

pytestmark = pytest.mark.timeout(600)


def serve(machines: Machines, home: Path) -> AbstractContextManager[Service]:
    return running(
        home,
        worker=[*FAKE_WORKER, "--ready-after", str(LOAD_S)],
        FOUNDRYLOCAL_CLUSTER_ADDRESS=machines.address,
        FOUNDRYLOCAL_CLUSTER_KEEP_SECONDS=str(KEEP_S),
        FOUNDRYLOCAL_MEMORY_RESERVE_MB="0",
    )


@pytest.fixture
def neighbor(machines: Machines, tmp_path: Path) -> Iterator[tuple[Service, set[int]]]:
    """Another home's service on the same cluster, with its replica."""
    home = tmp_path / "neighbor"
    store_tiny_model(home)
    with serve(machines, home) as service:
        service.start()
        yield service, workers(machines)


def workers(machines: Machines) -> set[int]:
    return {worker.pid for node in machines.nodes.values() for worker in node.workers()}


def actors(machines: Machines) -> int:
    return sum(len(node.named("ray::ReplicaActor")) for node in machines.nodes.values())


def start_in_background(service: Service) -> tuple[threading.Thread, list[Any]]:
    """Ask for a start; its answer, or the error of a connection that ended."""
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(httpx.post(f"{service.base}/start", json={"model_name": CHAT_MODEL}, timeout=120))
        except httpx.HTTPError as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, answers


def test_a_service_killed_at_any_moment_leaves_nothing(
    machines: Machines, home: Path, neighbor: tuple[Service, set[int]]
) -> None:
    other, of_other = neighbor
    store_tiny_model(home)
    for moment_s in MOMENTS_S:
        with serve(machines, home) as service:
            thread, _ = start_in_background(service)
            thread.join(moment_s)
            service.kill()
            thread.join(20)
        eventually(
            f"nothing is left of a service killed after {moment_s} s",
            lambda: workers(machines) == of_other and actors(machines) == 1,
            KEEP_S + 5,
        )
    assert other.status()["status"] == "running"


def test_a_link_killed_at_any_moment_costs_one_error_at_most(
    machines: Machines, home: Path, neighbor: tuple[Service, set[int]]
) -> None:
    other, of_other = neighbor
    store_tiny_model(home)
    with serve(machines, home) as service:
        for moment_s in MOMENTS_S:
            thread, answers = start_in_background(service)
            thread.join(moment_s)
            for process in service.workers():
                if "link_child" in " ".join(process.cmdline()):
                    process.kill()
            thread.join(TIMEOUT_S)
            assert answers and answers[0].status_code in (200, 503), answers
            if answers[0].status_code == 200:
                assert service.status()["status"] == "running"
            eventually(
                "the link is back",
                lambda: service.get("/cluster").json()["state"] == "connected",
                TIMEOUT_S,
            )
            service.post("/stop")
            eventually(
                f"nothing is left after a link killed after {moment_s} s",
                lambda: workers(machines) == of_other and actors(machines) == 1,
                KEEP_S + 5,
            )
    assert other.status()["status"] == "running"
