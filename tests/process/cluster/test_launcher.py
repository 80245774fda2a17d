"""The launcher of a cluster against a link that is made up: rooms, launches, losses, and a link that ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

import foundrylocal
from foundrylocal.catalog.library import Library
from foundrylocal.catalog.registry import Registry
from foundrylocal.engine.local.process import KILLED
from foundrylocal.engine.node import NodeState
from foundrylocal.engine.ray import link, orders
from foundrylocal.engine.ray.file_offers import FileOffers
from foundrylocal.engine.ray.launcher import RayLauncher
from foundrylocal.engine.ray.orders import NodeOrder
from foundrylocal.engine.replica import Cause, ModelFile, ReplicaEvent, ReplicaSpec, ReplicaState
from foundrylocal.errors import ClusterUnreachable, NodeLost, NodeUnusable
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import EffectiveOptions
from tests.running import REPOSITORY

MB = 1024 * 1024
FAKE_LINK = str(REPOSITORY / "tests" / "fakes" / "link_child.py")
HEAD, OTHER = "127.0.1.1", "127.0.1.2"


def node(name: str, free_mb: int = 1000, **facts: Any) -> dict[str, Any]:
    return {
        "name": name,
        "node_id": f"id-{name}",
        "is_alive": True,
        "is_own": name == HEAD,
        "total_bytes": 1000 * MB,
        "free_bytes": free_mb * MB,
        "gpus": 0,
        "labels": {"foundrylocal-version": foundrylocal.__version__},
        **facts,
    }


class Cluster:
    """What the made-up link is to do, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "link.json"
        self.state: dict[str, Any] = {"nodes": [node(HEAD), node(OTHER)]}
        self.save()

    def save(self, **changes: Any) -> None:
        self.state |= changes
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.state))
        new.replace(self.path)

    def send(self, **event: Any) -> None:
        with self.path.with_suffix(".events").open("a") as file:
            file.write(json.dumps(event) + "\n")

    def commands(self, do: str) -> list[dict[str, Any]]:
        path = self.path.with_suffix(".commands")
        lines = path.read_text().splitlines() if path.exists() else []
        return [command for line in lines if (command := json.loads(line))["do"] == do]


def spec(folder: Path, number: int = 1, memory_mb: int = 100) -> ReplicaSpec:
    model = folder / "model.gguf"
    model.write_bytes(b"GGUF")
    files = (ModelFile("model.gguf", model, 4, "a" * 64),)
    return ReplicaSpec(
        f"a/b#{number}",
        "a/b",
        model,
        None,
        4,
        memory_mb * MB,
        EffectiveOptions(),
        files=files,
        content_id="c",
    )


@asynccontextmanager
async def launching(folder: Path, cluster: Cluster, **given: Any) -> AsyncIterator[RayLauncher]:
    store = SettingsStore(folder / "config", {"cluster_address": f"{HEAD}:6379", **given})
    files = FileOffers(Library(folder / "cache"), Registry())
    launcher = RayLauncher(
        {"address": f"{HEAD}:6379", "namespace": "foundrylocal-0", "state_dir": str(folder)},
        store,
        files,
        link_command=(sys.executable, FAKE_LINK, str(cluster.path)),
    )
    async with anyio.create_task_group() as group:
        await group.start(launcher.run)
        with anyio.fail_after(30):
            yield launcher
        group.cancel_scope.cancel()


def run(tmp_path: Path, scenario: Callable[[RayLauncher, Cluster], Awaitable[None]], **given: Any) -> Cluster:
    cluster = Cluster(tmp_path)

    async def main() -> None:
        async with launching(tmp_path, cluster, **given) as launcher:
            await scenario(launcher, cluster)

    anyio.run(main)
    return cluster


async def eventually(check: Callable[[], Any]) -> None:
    """Wait until it holds; the scenario bounds the wait."""
    for _ in range(1000):
        if check():
            return
        await anyio.sleep(0.02)
    raise AssertionError("it never holds")


async def next_of(events: AsyncIterator[ReplicaEvent], state: ReplicaState) -> ReplicaEvent:
    async for event in events:
        if event.state is state:
            return event
    raise AssertionError("no more events")


def test_a_room_is_the_lesser_of_what_ray_lists_and_what_was_given_away(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        cluster.save(nodes=[node(HEAD, 300), node(OTHER), node("127.0.1.3", is_alive=False)])
        await launcher.launch(spec(tmp_path, memory_mb=400), OTHER)
        rooms = {room.node: room for room in await launcher.rooms(spec(tmp_path), 50 * MB)}
        assert {name: room.free_bytes // MB for name, room in rooms.items()} == {HEAD: 250, OTHER: 550}
        assert rooms[OTHER].has_files  # it has just been there
        other_model = replace(spec(tmp_path), content_id="d")
        assert {room.node: room.has_files for room in await launcher.rooms(other_model)} == {
            HEAD: True,
            OTHER: False,
        }

    run(tmp_path, scenario)


def test_the_memory_budget_is_that_of_each_node(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        await launcher.launch(spec(tmp_path, memory_mb=100), OTHER)
        rooms = {room.node: room.free_bytes // MB for room in await launcher.rooms()}
        assert rooms == {HEAD: 500, OTHER: 400}

    run(tmp_path, scenario, memory_budget_mb=500)


def test_a_room_has_what_is_free_of_the_gpus_that_its_node_told(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        labels = {"foundrylocal-version": foundrylocal.__version__, "gpu-memory-mb": "800.200"}
        cluster.save(nodes=[node(HEAD), node(OTHER, gpus=2, labels=labels), node("127.0.1.3", gpus=1)])
        await launcher.launch(replace(spec(tmp_path), gpu_bytes=100 * MB), OTHER)
        rooms = {room.node: room.gpus for room in await launcher.rooms()}
        assert rooms == {HEAD: (), OTHER: (720 * MB, 180 * MB), "127.0.1.3": ()}
        shown = {status.name: status.gpus for status in await launcher.node_statuses()}
        assert shown == {HEAD: (), OTHER: (720 * MB, 180 * MB), "127.0.1.3": (0,)}

    run(tmp_path, scenario)


def test_a_node_of_another_version_is_no_room(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        cluster.save(nodes=[node(HEAD), node(OTHER, labels={"foundrylocal-version": "0.0.1"})])
        assert [room.node for room in await launcher.rooms()] == [HEAD]

    run(tmp_path, scenario)


def test_a_node_is_listed_once_however_often_it_was_lost(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        gone = "127.0.1.3"
        lost = [node(gone, is_alive=False), node(gone, is_alive=False), node(OTHER, is_alive=False)]
        cluster.save(nodes=[node(HEAD), node(OTHER), *lost])
        states = [(status.name, status.state) for status in await launcher.node_statuses()]
        assert states == [(HEAD, NodeState.ALIVE), (OTHER, NodeState.ALIVE), (gone, NodeState.LOST)]

    run(tmp_path, scenario)


def test_a_replica_is_ready_where_it_was_launched_and_ends_with_a_stop(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        with launcher.events() as events:
            await launcher.launch(spec(tmp_path), OTHER)
            shares: list[float] = []
            address = await launcher.wait_ready("a/b#1", 10, shares.append)
            assert address.key == "k" * 43
            assert await launcher.probe("a/b#1", 5) >= 0
            [status] = await launcher.list()
            assert (status.node, status.state, status.memory_bytes) == (OTHER, ReplicaState.READY, 10)
            await launcher.stop("a/b#1")
            assert await launcher.list() == []
            assert (await next_of(events, ReplicaState.STOPPED)).node == OTHER

    run(tmp_path, scenario)


def test_another_node_is_offered_the_files_and_the_own_one_is_not(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        await launcher.launch(spec(tmp_path, 1), OTHER)
        await launcher.launch(spec(tmp_path, 2), HEAD)

    cluster = run(tmp_path, scenario)
    by_node = {command["node"]: command for command in cluster.commands("launch")}
    assert by_node[OTHER]["offers"] == {"a" * 64: str(tmp_path / "model.gguf")}
    assert by_node[HEAD]["offers"] == {}
    order = orders.decode_order(by_node[OTHER]["order"])
    assert order.file_sets is not None and order.file_sets[0].files[0].sha256 == "a" * 64
    assert by_node[OTHER]["memory_bytes"] == 100 * MB


def test_a_lost_node_is_suspect_and_nothing_of_the_launch_is_left(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        cluster.save(answers={OTHER: {"lost": "Node 127.0.1.2 was lost."}})
        with pytest.raises(NodeLost):
            await launcher.launch(spec(tmp_path), OTHER)
        assert await launcher.list() == []
        suspects = {room.node: room.is_suspect for room in await launcher.rooms()}
        assert suspects == {HEAD: False, OTHER: True}

    run(tmp_path, scenario)


def test_a_node_that_refuses_says_why(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        cluster.save(answers={OTHER: {"refusal": "It runs FoundryLocal 0.0.1."}})
        with pytest.raises(NodeUnusable) as refused:
            await launcher.launch(spec(tmp_path), OTHER)
        assert refused.value.details == "It runs FoundryLocal 0.0.1."

    run(tmp_path, scenario)


def test_a_node_that_starts_nothing_is_no_endless_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        cluster.save(answers={OTHER: {"late": True}})
        await launcher.launch(spec(tmp_path), OTHER)
        with pytest.raises(NodeUnusable):
            await launcher.wait_ready("a/b#1")

    monkeypatch.setattr("foundrylocal.engine.ray.waiting.MAX_SILENCE_S", 0.3)
    run(tmp_path, scenario)


def test_a_node_that_cannot_get_the_files_is_unusable_and_says_why(tmp_path: Path) -> None:
    reason = "Needed: 1.1 GB, free: 1.0 MB in /cache."
    failure = {"kind": "InsufficientDiskSpace", "message": "Not enough disk space", "details": reason}
    update = {"number": 3, "phase": "failed", "reason": reason, "failure": failure, "cause": "files"}

    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        cluster.save(answers={OTHER: {"late": True}})
        await launcher.launch(spec(tmp_path), OTHER)
        cluster.send(event="update", replica="a/b#1", update=update)
        with pytest.raises(NodeUnusable) as refused:
            await launcher.wait_ready("a/b#1")
        assert (refused.value.message, refused.value.details) == (
            f"Node '{OTHER}' cannot run the model",
            reason,
        )
        suspects = {room.node: room.is_suspect for room in await launcher.rooms()}
        assert suspects == {HEAD: False, OTHER: True}

    run(tmp_path, scenario)


def test_a_lost_replica_is_no_crash(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        await launcher.launch(spec(tmp_path), OTHER)
        with launcher.events() as events:
            cluster.send(event="lost", replica="a/b#1", reason="Node 127.0.1.2 was lost.")
            event = await next_of(events, ReplicaState.FAILED)
        assert (event.cause, event.node, event.reason) == (Cause.NODE, OTHER, "Node 127.0.1.2 was lost.")

    run(tmp_path, scenario)


def test_a_replica_that_was_killed_says_nothing_of_its_node(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        await launcher.launch(spec(tmp_path), OTHER)
        with launcher.events() as events:
            await launcher.kill("a/b#1")
            event = await next_of(events, ReplicaState.FAILED)
        assert (event.cause, event.reason) == (Cause.WORKER, KILLED)
        assert [room.is_suspect for room in await launcher.rooms()] == [False, False]

    run(tmp_path, scenario)


def test_a_replica_whose_launch_was_given_up_is_ended(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        await launcher.rooms()
        cluster.send(event="update", replica="a/b#7", update={"number": 1, "phase": "loading"})
        await eventually(lambda: [one["replica"] for one in cluster.commands("kill")] == ["a/b#7"])

    run(tmp_path, scenario)


def test_a_link_that_ends_is_started_again_and_follows_the_same_replicas(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        await launcher.adopted()
        await launcher.launch(spec(tmp_path), OTHER)
        await launcher.wait_ready("a/b#1", 10)
        assert launcher.link_pid is not None
        os.kill(launcher.link_pid, signal.SIGKILL)
        await eventually(lambda: cluster.commands("watch"))
        [status] = await launcher.list()
        assert status.state is ReplicaState.READY
        await eventually(lambda: len(cluster.commands("sweep")) >= 2)

    cluster = run(tmp_path, scenario)
    [launch] = cluster.commands("launch")
    assert [command["name"] for command in cluster.commands("watch")] == [launch["name"]]
    assert cluster.commands("sweep")[-1]["known"] == [launch["name"]]


def test_without_a_cluster_the_error_is_the_links_own_and_kill_returns(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        await launcher.launch(spec(tmp_path), OTHER)
        cluster.save(failed="The Ray cluster at 127.0.1.1:6379 cannot be joined: no answer")
        assert launcher.link_pid is not None
        os.kill(launcher.link_pid, signal.SIGKILL)
        await eventually(lambda: "no answer" in (launcher.link_problem or ""))
        began = anyio.current_time()
        await launcher.kill("a/b#1")
        assert anyio.current_time() - began < 3.5
        with pytest.raises(ClusterUnreachable) as unreachable:
            await launcher.rooms()
        assert "cannot be joined: no answer" in str(unreachable.value.details)

    run(tmp_path, scenario)


def test_a_link_that_does_not_answer_is_no_endless_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        cluster.save(silent=["nodes"])
        with pytest.raises(ClusterUnreachable):
            await launcher.rooms()

    monkeypatch.setattr("foundrylocal.engine.ray.node_rooms.NODES_TIMEOUT_S", 0.5)
    run(tmp_path, scenario)


def _left_by_another(folder: Path, number: int, phase: str, version: str) -> dict[str, Any]:
    order = NodeOrder(version, OTHER, spec(folder, number), 60.0)
    address = {"url": "http://127.0.1.2:1", "key": "k", "incarnation": 1}
    update = {"number": 5, "phase": phase, "address": address if phase == "ready" else None}
    return {"name": f"left~{number}", "order": orders.encode_order(order), "update": update}


def test_replicas_of_the_service_before_are_taken_over_once(tmp_path: Path) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        own = foundrylocal.__version__
        left = [
            _left_by_another(tmp_path, 1, "ready", own),
            _left_by_another(tmp_path, 2, "loading", own),
            _left_by_another(tmp_path, 3, "ready", "0.0.1"),
        ]
        cluster.save(replicas=left)
        [adopted] = await launcher.adopted()
        assert (adopted.spec.id, adopted.node) == ("a/b#1", OTHER)
        assert adopted.spec.is_like(replace(spec(tmp_path, 1)))
        assert await launcher.adopted() == []
        assert [status.id for status in await launcher.list()] == ["a/b#1"]
        assert cluster.commands("sweep")[-1]["known"] == ["left~1"]

    run(tmp_path, scenario)


def test_replicas_of_a_cluster_that_stays_away_are_given_up_after_their_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(launcher: RayLauncher, cluster: Cluster) -> None:
        await launcher.launch(spec(tmp_path), OTHER)
        cluster.save(failed="gone")
        assert launcher.link_pid is not None
        with launcher.events() as events:
            os.kill(launcher.link_pid, signal.SIGKILL)
            event = await next_of(events, ReplicaState.FAILED)
        assert event.cause is Cause.NODE

    monkeypatch.setattr("foundrylocal.engine.ray.launcher.LEASE_GRACE_S", -4.0)
    monkeypatch.setattr(link, "MAX_DELAY_S", 0.2)
    run(tmp_path, scenario, cluster_keep_seconds=5)
