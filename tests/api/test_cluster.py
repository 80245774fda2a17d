"""The cluster over HTTP: one node without one, and an address that no caller can set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foundrylocal.engine.ray.node.installed import installation_problem
from tests.running import CHAT_MODEL, Service


def test_without_a_cluster_this_machine_is_the_one_node(service: Service) -> None:
    service.start()
    answer = service.get("/cluster").json()
    assert (answer["state"], answer["address"], answer["total_count"]) == ("local", None, 1)
    (node,) = answer["nodes"]
    assert (node["name"], node["state"], node["is_service"]) == ("", "alive", True)
    assert 0 < node["free_bytes"] <= node["memory_bytes"]
    assert node["versions"]["foundrylocal"] and node["versions"]["python"]
    (replica,) = answer["replicas"]
    assert (replica["model"], replica["node"], replica["state"]) == (CHAT_MODEL, "", "ready")
    assert replica["memory_bytes"] > 0
    assert answer["suspects"] == []


def test_a_node_offers_at_most_its_budget(service: Service) -> None:
    service.post("/config", {"memory_budget_mb": 64})
    (node,) = service.get("/cluster").json()["nodes"]
    assert node["memory_bytes"] == 64 * 1024 * 1024
    assert node["free_bytes"] <= 64 * 1024 * 1024


def test_the_reserve_is_not_free(service: Service) -> None:
    service.post("/config", {"memory_reserve_mb": 1_048_576})
    (node,) = service.get("/cluster").json()["nodes"]
    assert node["free_bytes"] == 0


def test_no_caller_can_name_a_cluster(service: Service) -> None:
    answer = service.post("/config", {"cluster_address": "192.0.2.1:6379"})
    assert answer.status_code == 400
    assert "FOUNDRYLOCAL_CLUSTER_ADDRESS" in answer.json()["error"]["details"]
    assert service.get("/cluster").json()["address"] is None


@pytest.mark.skipif(installation_problem() is not None, reason="Ray is not installed")
def test_beyond_loopback_a_service_does_not_start_without_a_token(home: Path) -> None:
    without = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    kept = {name: value for name, value in os.environ.items() if name not in without}
    settings = {"FOUNDRYLOCAL_HOME": str(home), "FOUNDRYLOCAL_CLUSTER_ADDRESS": "192.0.2.1:6379"}
    done = subprocess.run(
        [sys.executable, "-m", "foundrylocal", "serve", "--port", "0"],
        env=kept | settings,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "no token for 192.0.2.1:6379" in done.stderr
    assert "foundrylocal cluster token --set" in done.stderr
    assert "Traceback" not in done.stderr
