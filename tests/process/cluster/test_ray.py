"""A service on a real Ray cluster of three nodes, in the order of growing damage; the last test ends the cluster."""

from __future__ import annotations

import psutil

from tests.process.cluster.conftest import Scene
from tests.process.cluster.machines import FIRST, SECOND, Machines, Node
from tests.running import CHAT_MODEL, Service, eventually, left_of

RECOVERY_TIMEOUT_S = 60
SHORT_KEEP_S = 5


def test_a_model_starts_on_a_node_that_fetches_it_and_leaves_nothing_when_it_stops(
    machines: Machines, scene: Scene
) -> None:
    service = scene.running_model()
    assert chat(service)
    [node] = busy_nodes(machines)
    assert node.address in (FIRST, SECOND)
    assert list(node.cache.rglob("tiny.gguf"))
    key = service.status()["health"]["api_key"]
    assert not any(key in line for line in command_lines(node))
    service.post("/stop")
    assert not busy_nodes(machines)
    eventually("no actor is left", lambda: not node.named("ray::ReplicaActor"))


def test_a_worker_that_crashes_is_started_again(machines: Machines, scene: Scene) -> None:
    service = scene.running_model()
    [node] = busy_nodes(machines)
    [worker] = node.workers()
    worker.kill()
    eventually(
        "another worker serves",
        lambda: service.status()["status"] == "running" and worker_pids(machines) - {worker.pid},
        RECOVERY_TIMEOUT_S,
    )
    assert chat(service)


def test_a_link_that_is_killed_costs_nothing(machines: Machines, scene: Scene) -> None:
    service = scene.running_model()
    before, link = worker_pids(machines), link_of(service)
    link.kill()
    assert chat(service)
    eventually("there is a new link", lambda: is_connected(service), RECOVERY_TIMEOUT_S)
    assert link_of(service).pid != link.pid
    assert chat(service)
    assert worker_pids(machines) == before


def test_a_service_that_is_killed_finds_its_replicas_again(machines: Machines, scene: Scene) -> None:
    service = scene.running_model()
    before, status = worker_pids(machines), service.status()
    service.kill()
    again = scene.service()
    eventually("it runs again", lambda: again.status()["status"] == "running", RECOVERY_TIMEOUT_S)
    assert again.status()["port"] == status["port"]
    assert again.status()["health"]["api_key"] == status["health"]["api_key"]
    assert chat(again)
    assert worker_pids(machines) == before
    again.post("/stop")
    assert not worker_pids(machines)  # it can end what another has started


def test_a_service_that_never_comes_back_leaves_nothing(machines: Machines, scene: Scene) -> None:
    scene.close()
    service = scene.running_model(SHORT_KEEP_S)
    workers = [worker for node in machines.nodes.values() for worker in node.workers()]
    assert workers
    service.kill()
    assert not left_of(workers, SHORT_KEEP_S + 5)


def test_a_lost_node_is_replaced_by_another(machines: Machines, scene: Scene) -> None:
    service = scene.running_model()
    [node] = busy_nodes(machines)
    node.kill()
    other = machines.nodes[SECOND if node.address == FIRST else FIRST]
    eventually(
        "the other node serves",
        lambda: other.workers() and service.status()["status"] == "running",
        RECOVERY_TIMEOUT_S,
    )
    assert chat(service)


def test_the_service_outlives_the_cluster(machines: Machines, scene: Scene) -> None:
    service = scene.running_model()
    machines.kill_gcs()
    assert chat(service)
    eventually("the link has given up", lambda: not is_connected(service), RECOVERY_TIMEOUT_S)
    assert service.process.poll() is None
    assert service.status()["status"] in ("running", "stopped")
    assert service.get("/health").status_code == 200


# --- what is there ----------------------------------------------------------------------------------------


def busy_nodes(machines: Machines) -> list[Node]:
    """The nodes that have a worker."""
    return [node for node in machines.nodes.values() if node.workers()]


def worker_pids(machines: Machines) -> set[int]:
    return {worker.pid for node in machines.nodes.values() for worker in node.workers()}


def command_lines(node: Node) -> list[str]:
    return [" ".join(process.cmdline()) for process in node.family()]


def link_of(service: Service) -> psutil.Process:
    """The process that speaks to Ray."""
    return next(one for one in service.workers() if "link_child" in " ".join(one.cmdline()))


def is_connected(service: Service) -> bool:
    return bool(service.get("/cluster").json()["state"] == "connected")


def chat(service: Service) -> str:
    """The answer to one question."""
    with service.gateway() as client:
        answer = client.post(
            "/v1/chat/completions",
            json={"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Hi"}]},
        )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])
