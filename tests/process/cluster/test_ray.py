"""A service on a real Ray cluster of three nodes, in the order of growing damage; the last test ends the cluster."""

from __future__ import annotations

import psutil

from tests.process.cluster.conftest import KEEP_S, Serving
from tests.process.cluster.machines import FIRST, SECOND, Machines, Node
from tests.running import Service, eventually, left_of

START_TIMEOUT_S = 60


def busy_nodes(machines: Machines) -> list[Node]:
    """The nodes that have a worker."""
    return [node for node in machines.nodes.values() if node.workers()]


def chat(service: Service) -> str:
    with service.gateway() as client:
        answer = client.post(
            "/v1/chat/completions", json={"model": "x", "messages": [{"role": "user", "content": "Hi"}]}
        )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_a_model_starts_on_a_node_that_fetches_it_and_leaves_nothing_when_it_stops(
    machines: Machines, serving: Serving
) -> None:
    with serving() as service:
        service.start()
        assert service.status()["status"] == "running"
        assert chat(service)
        [node] = busy_nodes(machines)
        assert node.address in (FIRST, SECOND)
        assert list(node.cache.rglob("tiny.gguf"))
        key = service.status()["health"]["api_key"]
        for process in node.family():
            assert key not in " ".join(process.cmdline())
        service.post("/stop")
        assert not busy_nodes(machines)
        eventually("no actor is left", lambda: not node.named("ray::ReplicaActor"))


def test_a_worker_that_crashes_is_started_again(machines: Machines, serving: Serving) -> None:
    with serving(FOUNDRYLOCAL_RESTART_DELAYS_SECONDS="[0.1]") as service:
        service.start()
        [node] = busy_nodes(machines)
        [worker] = node.workers()
        worker.kill()
        eventually(
            "another worker serves",
            lambda: service.status()["status"] == "running" and _pids(machines) - {worker.pid},
            START_TIMEOUT_S,
        )
        assert chat(service)


def _pids(machines: Machines) -> set[int]:
    return {worker.pid for node in machines.nodes.values() for worker in node.workers()}


def _link(service: Service) -> psutil.Process:
    return next(one for one in service.workers() if "link_child" in " ".join(one.cmdline()))


def test_a_link_that_is_killed_costs_nothing(machines: Machines, serving: Serving) -> None:
    with serving() as service:
        service.start()
        before, link = _pids(machines), _link(service)
        link.kill()
        assert chat(service)
        eventually("there is a new link", lambda: _connected(service), START_TIMEOUT_S)
        assert _link(service).pid != link.pid
        assert chat(service)
        assert _pids(machines) == before
        service.post("/stop")
        assert not _pids(machines)  # the new link knows the replica


def _connected(service: Service) -> bool:
    return bool(service.get("/cluster").json()["state"] == "connected")


def test_a_service_that_is_killed_finds_its_replicas_again(machines: Machines, serving: Serving) -> None:
    with serving() as service:
        service.start()
        before, port = _pids(machines), service.status()["port"]
        key = service.status()["health"]["api_key"]
        service.kill()
        with serving() as again:
            eventually("it runs again", lambda: again.status()["status"] == "running", START_TIMEOUT_S)
            health = again.status()["health"]
            assert (again.status()["port"], health["api_key"]) == (port, key)
            assert chat(again)
            assert _pids(machines) == before


def test_a_service_that_never_comes_back_leaves_nothing(machines: Machines, serving: Serving) -> None:
    with serving() as service:
        service.start()
        workers = [worker for node in machines.nodes.values() for worker in node.workers()]
        assert workers
        service.kill()
        assert not left_of(workers, KEEP_S + 5)


def test_a_lost_node_is_replaced_by_another(machines: Machines, serving: Serving) -> None:
    with serving() as service:
        service.start()
        [node] = busy_nodes(machines)
        node.kill()
        other = machines.nodes[SECOND if node.address == FIRST else FIRST]
        eventually(
            "the other node serves",
            lambda: other.workers() and service.status()["status"] == "running",
            START_TIMEOUT_S,
        )
        assert chat(service)
        machines.start(node.address)


def test_a_node_of_another_version_is_not_used(machines: Machines, serving: Serving) -> None:
    other = machines.start("127.0.1.4", version="0.0.1")
    with serving() as service:
        service.start()
        assert not other.workers()
        [shown] = [one for one in service.get("/cluster").json()["nodes"] if one["name"] == other.address]
        assert shown["has_other_version"]
    other.stop()


def test_the_service_outlives_the_cluster(machines: Machines, serving: Serving) -> None:
    with serving() as service:
        service.start()
        machines.kill_gcs()
        assert chat(service)
        eventually("the link has given up", lambda: not _connected(service), START_TIMEOUT_S)
        assert service.process.poll() is None
        refused = service.post("/start", {"model_name": "nothing"})
        assert refused.status_code < 600
