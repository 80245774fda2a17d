"""The doctor of a running service: the machine as it is, the ports in use, a real load of the starter model."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from tests.running import CHAT_MODEL, FAKE_WORKER, Service, running, store_tiny_model


def _checks(service: Service) -> dict[str, dict[str, Any]]:
    answer = service.get("/doctor", timeout=90).json()
    assert answer["total_count"] == len(answer["checks"])
    return {check["name"]: check for check in answer["checks"]}


def test_the_doctor_knows_its_own_ports_and_leaves_no_worker(home: Path) -> None:
    store_tiny_model(home)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_PORT=str(port)) as service:
        service.start()
        checks = _checks(service)
        assert checks["gateway_port"]["message"] == f"Port {port} is used by this service."
        assert checks["starter_load"]["status"] == "ok"
        assert checks["cache_folder"]["status"] == "ok"
        assert len(service.workers()) == 1
        assert service.status()["current_model"] == CHAT_MODEL


def test_the_doctor_names_trouble(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {
            "FOUNDRYLOCAL_PORT": str(port),
            "FOUNDRYLOCAL_MEMORY_BUDGET_MB": "1",
            "HTTP_PROXY": "http://proxy:8080",
            "NO_PROXY": "",
            "HF_HUB_OFFLINE": "1",
        }
        with running(home, worker=FAKE_WORKER, **environment) as service:
            checks = _checks(service)
    troubled = {name: check["status"] for name, check in checks.items() if check["status"] != "ok"}
    assert troubled == {
        "gateway_port": "error",
        "memory": "error",
        "proxy": "warning",
        "hub": "warning",
        "starter_load": "warning",
    }
    assert all(checks[name]["action"] for name in troubled)
