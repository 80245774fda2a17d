"""A service that is killed and started again answers at once, with the same port, key and replicas."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cluster_slow.conftest import starter_settings
from tests.process.cluster.machines import Machines
from tests.running import CHAT_MODEL, Service, eventually, running

pytestmark = pytest.mark.timeout(600)

RESTARTS = int(os.environ.get("CLUSTER_RESTARTS", "3"))
MAX_FIRST_ANSWER_S = 5.0
TIMEOUT_S = 120


@contextmanager
def serving(machines: Machines, home: Path, cache: Path) -> Iterator[Service]:
    with running(home, **starter_settings(machines, cache)) as service:
        yield service


def test_a_killed_service_answers_within_five_seconds_of_its_start(
    machines: Machines, home: Path, model_cache: Path
) -> None:
    with serving(machines, home, model_cache) as service:
        service.start()
        eventually("both replicas serve", lambda: len(workers(machines)) == 2, TIMEOUT_S)
        eventually("both are known", lambda: len(ready(service)) == 2, TIMEOUT_S)
        before, replicas, health = workers(machines), ready(service), service.status()["health"]
        service.kill()
    for number in range(RESTARTS):
        began_s = time.monotonic()
        with serving(machines, home, model_cache) as service:
            answer = first_answer(health["endpoint"], health["api_key"])
            took_s = time.monotonic() - began_s
            print(f"restart {number + 1}: first answer {took_s:.1f} s after the start", flush=True)
            assert answer["choices"][0]["message"]["content"]
            again = service.status()
            assert again["status"] == "running"
            assert (again["health"]["endpoint"], again["health"]["api_key"]) == (
                health["endpoint"],
                health["api_key"],
            )
            assert workers(machines) == before
            assert ready(service) == replicas
            assert took_s < MAX_FIRST_ANSWER_S
            service.kill()


def first_answer(endpoint: str, key: str) -> dict[str, object]:
    """What a client gets that asks again and again until it is answered."""
    body = {"model": CHAT_MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}

    def ask() -> dict[str, object] | None:
        try:
            answer = httpx.post(
                f"{endpoint}/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
            )
        except httpx.TransportError:
            return None
        return dict(answer.json()) if answer.status_code == 200 else None

    found: dict[str, object] = eventually("an answer", ask, 60)
    return found


def workers(machines: Machines) -> set[int]:
    return {one.pid for node in machines.nodes.values() for one in node.named("foundrylocal.worker")}


def ready(service: Service) -> set[tuple[str, str]]:
    """The replicas that serve, by id and node."""
    replicas = service.get("/cluster").json()["replicas"]
    return {(one["id"], one["node"]) for one in replicas if one["state"] == "ready"}
