"""The supervisor: it joins again, with growing delays, until it is to stop."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from foundrylocal.engine.ray.node.process import NodeFailed
from foundrylocal.engine.ray.node.supervisor import STEADY_S, WATCH_PERIOD_S, Supervisor


@dataclass
class FakeNode:
    """A node that is up for some seconds and then ends; with `fails` it never is."""

    up_s: float
    clock: Callable[[], float]
    fails: bool = False
    has_stopped: bool = False

    def wait_ready(self, is_stopping: Callable[[], bool]) -> bool:
        self.began_s = self.clock()
        if self.fails:
            raise NodeFailed("ray start exited with code 1", "Traceback\nno route to host")
        return True

    def end_reason(self) -> str | None:
        return "the raylet ended" if self.clock() - self.began_s >= self.up_s else None

    def stop(self) -> None:
        self.has_stopped = True


@dataclass
class Rig:
    """A clock that moves by waiting, and the nodes to be started, after which the supervisor is to stop."""

    script: list[tuple[float, bool]]  # how long it is up, and whether it fails
    now_s: float = 0.0
    nodes: list[FakeNode] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    ready: int = 0

    def run(self, *, must_start: bool = False) -> None:
        Supervisor(self.start, self.said.append, self.wait, self.is_stopping, lambda: self.now_s).run(
            self.note_ready, must_start=must_start
        )

    def start(self) -> FakeNode:
        up_s, fails = self.script[len(self.nodes)]
        self.nodes.append(FakeNode(up_s, lambda: self.now_s, fails))
        return self.nodes[-1]

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def is_stopping(self) -> bool:
        return len(self.nodes) == len(self.script) and self.nodes[-1].end_reason() is not None

    def note_ready(self) -> None:
        self.ready += 1


def delays(rig: Rig) -> list[str]:
    return [line.rpartition(" in ")[2] for line in rig.said]


def test_a_node_that_ended_joins_again() -> None:
    rig = Rig([(5.0, False), (5.0, False), (3 * WATCH_PERIOD_S, False)])
    rig.run()
    assert rig.ready == 3
    assert all(node.has_stopped for node in rig.nodes)
    assert "the raylet ended" in rig.said[0]


def test_the_delays_grow_and_begin_again_after_a_steady_time() -> None:
    rig = Rig([(0.0, False)] * 7 + [(STEADY_S + 1, False), (0.0, False), (0.0, False)])
    rig.run()
    assert delays(rig)[:8] == ["1 s.", "2 s.", "5 s.", "10 s.", "30 s.", "30 s.", "30 s.", "1 s."]


def test_a_node_waits_for_its_head_and_says_why() -> None:
    rig = Rig([(0.0, True), (0.0, True), (0.0, False)])
    rig.run()
    assert rig.ready == 1
    assert rig.said[0].startswith(
        "The node is not in the cluster: ray start exited with code 1. no route to host."
    )


def test_a_head_that_does_not_start_is_a_failure() -> None:
    rig = Rig([(0.0, True), (0.0, False)])
    with pytest.raises(NodeFailed):
        rig.run(must_start=True)
    assert len(rig.nodes) == 1
    assert rig.nodes[0].has_stopped


def test_a_lock_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"fl-ray-start-{getpass.getuser()}.lock").mkdir()
    rig = Rig([(5.0, False)])
    with pytest.raises(NodeFailed) as failed:
        rig.run(must_start=True)
    assert f"The lock {tmp_path}" in failed.value.reason and failed.value.reason.endswith("Remove it")
    assert not rig.nodes
