"""A node's process, with a fake `ray start`: ready, watched, and gone with everything that it started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from foundrylocal.engine.ray.node import process as node_process
from foundrylocal.engine.ray.node.process import NodeFailed, NodeProcess
from tests.running import REPOSITORY, eventually, left_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the nodes of a cluster run on Linux")
FAKE = str(REPOSITORY / "tests" / "fakes" / "ray_start.py")

_OTHERS: list[psutil.Process] = []


@contextmanager
def node(output: Path, *flags: str) -> Iterator[NodeProcess]:
    started = NodeProcess([sys.executable, FAKE, *flags], os.environ, output)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(autouse=True)
def others() -> Iterator[None]:
    """What this process had started before: services that a session of tests shares."""
    _OTHERS[:] = psutil.Process().children(recursive=True)
    yield
    _OTHERS.clear()


def family() -> list[psutil.Process]:
    """What a test has started."""
    return [process for process in psutil.Process().children(recursive=True) if process not in _OTHERS]


def raylet() -> psutil.Process:
    def find() -> psutil.Process | None:
        return next((one for one in family() if one.name() == "raylet"), None)

    found: psutil.Process = eventually("a raylet", find)
    return found


def test_a_node_is_ready_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "logs" / "node.log"
    with node(output) as started:
        assert started.wait_ready(lambda: False)
        raylet()
        assert started.end_reason() is None
        processes = family()
        assert len(processes) == 2
    assert left_of(processes, 5) == []
    assert output.stat().st_mode & 0o777 == 0o600


def test_a_raylet_that_ended_is_noticed(tmp_path: Path) -> None:
    with node(tmp_path / "node.log") as started:
        assert started.wait_ready(lambda: False)
        raylet().kill()
        assert eventually("its end", started.end_reason) == "the raylet ended"


def test_a_start_that_fails_says_what_ray_said(tmp_path: Path) -> None:
    with node(tmp_path / "node.log", "--fail") as started, pytest.raises(NodeFailed) as caught:
        started.wait_ready(lambda: False)
    assert caught.value.reason == "ray start exited with code 1"
    assert caught.value.output == "some lines\nConnection refused"


def test_what_an_earlier_node_printed_does_not_count(tmp_path: Path) -> None:
    output = tmp_path / "node.log"
    with node(output) as started:
        assert started.wait_ready(lambda: False)
    with node(output, "--never-ready") as started, pytest.raises(NodeFailed) as caught:
        started.wait_ready(lambda: False, timeout_s=1.0)
    assert "within 1 s" in caught.value.reason


def test_a_stop_ends_the_wait(tmp_path: Path) -> None:
    with node(tmp_path / "node.log", "--never-ready") as started:
        assert not started.wait_ready(lambda: True)


def test_a_raylet_leaves_the_cluster_before_the_rest_of_its_node_ends(tmp_path: Path) -> None:
    farewell = tmp_path / "farewell"
    with node(tmp_path / "node.log", "--farewell", str(farewell)) as started:
        assert started.wait_ready(lambda: False)
        raylet()
    assert farewell.read_text() == "left"


def test_a_node_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_process, "RAYLET_TIMEOUT_S", 0.5)
    monkeypatch.setattr(node_process, "STOP_TIMEOUT_S", 0.5)
    with node(tmp_path / "node.log", "--ignore-sigterm") as started:
        assert started.wait_ready(lambda: False)
        raylet()
        processes = family()
    assert left_of(processes, 5) == []


def test_a_node_ends_with_the_command_that_runs_it(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, sys, time\n"
        "from foundrylocal.engine.ray.node.process import NodeProcess\n"
        "started = NodeProcess([sys.executable, sys.argv[1]], os.environ, pathlib.Path(sys.argv[2]))\n"
        "started.wait_ready(lambda: False)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, FAKE, str(tmp_path / "node.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        raylet()
        processes = psutil.Process(running.pid).children(recursive=True)
        assert len(processes) == 2
        running.kill()
    assert left_of(processes, 5) == []
