"""`foundrylocal cluster` with real Ray: nodes start, join again, are refused, and leave nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from scripts.cluster_demo import Program, program, run

from foundrylocal.engine.ray.node.command import session_folder
from tests.process.cluster.test_ray import chat
from tests.running import FAKE_WORKER, REPOSITORY, Service, eventually, left_of, running, store_tiny_model

HEAD, SECOND = "127.0.1.1", "127.0.1.2"
PORT = "6397"
ADDRESS = f"{HEAD}:{PORT}"
START_TIMEOUT_S = 90.0
# A node gives a head up after a minute, and then joins the new one.
REJOIN_TIMEOUT_S = 120.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    path = Path(tempfile.mkdtemp(prefix="fl-"))
    yield path
    for home in path.iterdir():  # a node that was killed could not remove Ray's files
        shutil.rmtree(session_folder(home / "state"), ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def head(home: Path, *options: str) -> Iterator[Program]:
    with program(home, "cluster", "head", "--port", PORT, "--memory-mb", "0", *options) as started:
        started.wait_line("head is ready")
        yield started


@contextlib.contextmanager
def joined(home: Path, head_home: Path) -> Iterator[Program]:
    run(home, "cluster", "token", "--set", text=run(head_home, "cluster", "token"))
    with program(home, "cluster", "join", ADDRESS, "--address", SECOND, "--memory-mb", "500") as started:
        started.wait_line("has joined")
        yield started


def states(service: Service) -> dict[str, str]:
    """The state of each node."""
    answer = service.get("/cluster").json()
    return {node["name"]: node["state"] for node in answer["nodes"]}


def test_a_cluster_from_head_to_leave(folder: Path) -> None:
    home, other = folder / "a", folder / "b"
    with head(home) as first, joined(other, home) as second:
        token = run(home, "cluster", "token").strip()
        family = [*first.family(), *second.family()]
        lines = [" ".join(one.cmdline()) for one in family]
        assert [line for line in lines if token in line] == []
        assert any("--labels=foundrylocal-version=" in line for line in lines)

        checks = {one["name"]: one for one in json.loads(run(home, "cluster", "doctor", "--json"))["checks"]}
        assert {name for name, check in checks.items() if check["status"] == "error"} == set()
        assert PORT in checks["ports"]["message"]  # Ray listens on every interface, whatever it is told
        assert token not in json.dumps(checks)

        with running(home, worker=FAKE_WORKER) as service:  # cluster_address is in its settings
            eventually("both nodes", lambda: states(service) == {HEAD: "alive", SECOND: "alive"}, 30)
            answer = service.get("/cluster").json()
            assert (answer["address"], answer["state"]) == (ADDRESS, "connected")
            assert not any(node["has_other_version"] for node in answer["nodes"])
            assert token not in service.get("/logs", params={"count": 1000}).text
            run(other, "cluster", "leave")
            eventually("its leaving", lambda: states(service).get(SECOND) != "alive", 30)
            assert SECOND not in states(service)  # it left, and is not lost
        run(home, "cluster", "leave")
        first.process.wait(30)
    assert left_of(family, 10) == []
    assert [session_folder(one / "state").exists() for one in (home, other)] == [False, False]
    assert "cluster_address" not in json.loads((home / "config" / "config.json").read_text())
    logs = [file.read_text("utf-8", "replace") for one in (home, other) for file in one.rglob("*.log")]
    assert [text for text in logs if token in text] == []


def test_a_node_whose_raylet_ended_joins_again(folder: Path) -> None:
    with head(folder / "a"), joined(folder / "b", folder / "a") as second:
        (raylet,) = (one for one in second.family() if one.name() == "raylet")
        raylet.kill()
        second.wait_line("It joins again in 1 s")
        eventually(
            "another joining", lambda: second.output.read_text().count("has joined") == 2, START_TIMEOUT_S
        )


def test_a_node_with_another_token_does_not_join(folder: Path) -> None:
    with head(folder / "a"):
        run(folder / "b", "cluster", "token", "--set", text="0123456789abcdef" * 4)
        join = ("cluster", "join", ADDRESS, "--address", SECOND, "--memory-mb", "500")
        with program(folder / "b", *join) as second:
            second.wait_line("The node is not in the cluster")
            assert "has joined" not in second.output.read_text()


def test_a_head_that_was_killed_leaves_nothing(folder: Path) -> None:
    with head(folder / "a") as first:
        family = first.family()
        assert len(family) > 3
        first.process.kill()
        first.process.wait(10)
        assert left_of(family, 20) == []


def test_a_head_with_its_state_on_disk_finds_its_node_again(folder: Path) -> None:
    home = folder / "a"
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(head(home, "--storage", "disk"))
        stack.enter_context(joined(folder / "b", home))
        service = stack.enter_context(running(home, worker=FAKE_WORKER))
        eventually("both nodes", lambda: states(service) == {HEAD: "alive", SECOND: "alive"}, 30)
        first.kill_all()
        eventually("no head", lambda: service.get("/cluster").json()["state"] == "unreachable", 60)
        stack.enter_context(head(home, "--storage", "disk"))
        eventually("both again", lambda: states(service) == {HEAD: "alive", SECOND: "alive"}, START_TIMEOUT_S)


def test_a_whole_head_with_its_state_on_disk_goes_on_with_the_replicas_of_other_nodes(folder: Path) -> None:
    home = folder / "a"
    store_tiny_model(home)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(head(home, "--storage", "disk"))
        second = stack.enter_context(joined(folder / "b", home))
        service = stack.enter_context(serving(home))
        eventually("both nodes", lambda: states(service) == {HEAD: "alive", SECOND: "alive"}, 30)
        service.start()
        workers, health = workers_of(second), service.status()["health"]
        assert len(workers) == 1 and chat(service)
        killed_s = time.monotonic()
        service.kill()
        first.kill_all()
        stack.enter_context(head(home, "--storage", "disk"))
        again = stack.enter_context(serving(home))
        eventually("it runs again", lambda: again.status()["status"] == "running", START_TIMEOUT_S)
        assert chat(again)
        print(f"answered {time.monotonic() - killed_s:.1f} s after the head was killed", flush=True)
        resumed = again.status()["health"]
        assert (resumed["endpoint"], resumed["api_key"]) == (health["endpoint"], health["api_key"])
        assert workers_of(second) == workers


def test_a_head_with_its_state_in_memory_knows_no_node_until_they_join_again(folder: Path) -> None:
    home = folder / "a"
    store_tiny_model(home)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(head(home))
        second = stack.enter_context(joined(folder / "b", home))
        service = stack.enter_context(serving(home, FOUNDRYLOCAL_CLUSTER_KEEP_SECONDS="15"))
        eventually("both nodes", lambda: states(service) == {HEAD: "alive", SECOND: "alive"}, 30)
        service.start()
        old = [psutil.Process(pid) for pid in workers_of(second)]
        assert len(old) == 1
        service.kill()
        first.kill_all()
        stack.enter_context(head(home))
        again = stack.enter_context(serving(home))
        assert again.status()["status"] == "stopped"
        assert left_of(old, 20) == []  # its lease, and some seconds for the check
        eventually("its joining", lambda: states(again).get(SECOND) == "alive", REJOIN_TIMEOUT_S)
        again.start()
        assert chat(again)


def serving(home: Path, **settings: str) -> contextlib.AbstractContextManager[Service]:
    """A service whose replicas find room on the second node."""
    return running(home, worker=FAKE_WORKER, FOUNDRYLOCAL_MEMORY_RESERVE_MB="0", **settings)


def workers_of(node: Program) -> set[int]:
    """The processes of the workers on a node."""
    found = set()
    for one in node.family():
        with contextlib.suppress(psutil.Error):
            if "fakes/worker.py" in " ".join(one.cmdline()):
                found.add(one.pid)
    return found


def test_the_demonstration_shows_what_it_says_and_leaves_nothing() -> None:
    before = {one.pid for one in psutil.process_iter()}
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cluster_demo"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        env=os.environ,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the model has two replicas again" in done.stdout
    assert f"{SECOND}: lost" in done.stdout
    added = [one for one in psutil.process_iter() if one.pid not in before and _is_of_ray(one)]
    assert left_of(added, 10) == []


def _is_of_ray(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE and "fl-demo-" in " ".join(process.cmdline())
    return False


def test_ctrl_c_ends_a_node_in_order(folder: Path) -> None:
    with head(folder / "a") as first:
        family = first.family()
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(30) == 0
        assert "The node has left the cluster." in first.output.read_text()
        assert left_of(family, 10) == []
