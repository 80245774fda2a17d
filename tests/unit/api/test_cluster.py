"""GET /cluster: what it says of nodes and replicas, with a cluster and without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foundrylocal.api.cluster import describe_cluster
from foundrylocal.engine.node import NodeVersions, own_versions
from foundrylocal.wire.cluster import ClusterAnswer
from tests.unit.pool.rig import MB, PoolRunner, Rig

HEAD = "192.168.1.10:6379"


@pytest.fixture
def on_pool(models_home: Path, tmp_path: Path) -> PoolRunner:
    return PoolRunner(models_home, tmp_path)


async def describe(rig: Rig, address: str | None) -> dict[str, Any]:
    answer = await describe_cluster(rig.pool, address)
    assert ClusterAnswer.model_validate(answer).model_dump() == answer
    return answer


def test_without_a_cluster_this_machine_is_the_one_node(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        replica = await rig.load(rig.chat)
        answer = await describe(rig, None)
        assert (answer["address"], answer["state"], answer["total_count"]) == (None, "local", 1)
        (node,) = answer["nodes"]
        assert (node["name"], node["is_service"], node["state"]) == ("", True, "alive")
        assert (node["memory_bytes"], node["free_bytes"]) == (1000 * MB, 960 * MB)
        assert node["versions"]["foundrylocal"] == own_versions().foundrylocal
        assert not node["has_other_version"]
        (found,) = answer["replicas"]
        assert (found["id"], found["model"], found["state"]) == (
            replica.spec.id,
            rig.chat.simple_name,
            "ready",
        )
        assert (found["slots"], found["in_flight"]) == (replica.spec.parallel, 0)

    on_pool(scenario)


def test_a_suspect_node_and_one_with_another_version_stand_out(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        rig.launcher.nodes = {"a": 100 * MB, "b": 100 * MB, "c": 100 * MB}
        rig.launcher.suspects = {"b"}
        rig.launcher.versions = {"c": NodeVersions("9.9.9", "3.12.1", "2.60.0")}
        answer = await describe(rig, HEAD)
        assert (answer["address"], answer["state"], answer["total_count"]) == (HEAD, "connected", 3)
        assert [node["state"] for node in answer["nodes"]] == ["alive", "suspect", "alive"]
        assert [node["has_other_version"] for node in answer["nodes"]] == [False, False, True]
        assert answer["nodes"][1]["reason"]
        assert answer["suspects"] == ["b"]

    on_pool(scenario)


def test_a_cluster_that_does_not_answer_is_part_of_the_answer(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.load(rig.chat)
        rig.launcher.is_unreachable = True
        answer = await describe(rig, HEAD)
        assert (answer["state"], answer["nodes"]) == ("unreachable", [])
        assert answer["message"] == "The cluster cannot be reached"
        assert "foundrylocal cluster doctor" in answer["action"]
        assert len(answer["replicas"]) == 1

    on_pool(scenario)
