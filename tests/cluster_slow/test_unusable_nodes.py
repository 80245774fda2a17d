"""A node without disk space, or with another version: one clear error, and other nodes serve."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from foundrylocal import __version__
from foundrylocal.engine.node import own_versions
from tests.process.cluster.machines import FIRST, HEAD, SECOND, Machines, short_folder
from tests.process.cluster.test_ray import chat
from tests.running import CHAT_MODEL, FAKE_WORKER, REPOSITORY, Service, eventually, running, store_tiny_model

pytestmark = pytest.mark.timeout(300)

# The planner prefers the node with most memory: it is the one that turns out to be unusable.
LARGE_MB, SMALL_MB = 2000, 500
OTHER_VERSION = "0.0.9"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    path = short_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def machines(folder: Path) -> Iterator[Machines]:
    """A head alone, without memory."""
    machines = Machines(folder)
    try:
        machines.start(HEAD)
        yield machines
    finally:
        machines.close()


def serve(machines: Machines, home: Path) -> AbstractContextManager[Service]:
    store_tiny_model(home)
    return running(
        home,
        worker=FAKE_WORKER,
        FOUNDRYLOCAL_CLUSTER_ADDRESS=machines.address,
        FOUNDRYLOCAL_MEMORY_RESERVE_MB="0",
    )


@contextlib.contextmanager
def full_disk(cache: Path) -> Iterator[None]:
    """A file system of one megabyte where a node keeps its models."""
    cache.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(cache)], check=True, timeout=20)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(cache)], check=True, timeout=20)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_node_without_disk_space_is_passed_over(folder: Path, machines: Machines, home: Path) -> None:
    with full_disk(folder / FIRST / "cache"):
        machines.start(FIRST, LARGE_MB)
        with serve(machines, home) as service:
            refused = service.post("/start", {"model_name": CHAT_MODEL})
            error = refused.json()["error"]
            assert refused.status_code == 503, error
            assert error["message"] == f"Node '{FIRST}' cannot run the model"
            assert "Needed: " in error["details"] and str(folder / FIRST) in error["details"]
        machines.start(SECOND, SMALL_MB)
        with serve(machines, home) as service:
            check_served_by_the_other(machines, service, "Needed: ")


def test_a_node_that_runs_other_code_is_passed_over(folder: Path, machines: Machines, home: Path) -> None:
    # It was started by hand, or its label is wrong: only its actor can say.
    machines.start(FIRST, LARGE_MB, PYTHONPATH=str(other_code(folder)))
    with serve(machines, home) as service:
        refused = service.post("/start", {"model_name": CHAT_MODEL})
        error = refused.json()["error"]
        assert refused.status_code == 503, error
        assert error["message"] == f"Node '{FIRST}' cannot run the model"
        assert f"It runs FoundryLocal {OTHER_VERSION}, and the service {__version__}" in error["details"]
    machines.start(SECOND, SMALL_MB)
    with serve(machines, home) as service:
        check_served_by_the_other(machines, service, OTHER_VERSION)


def test_a_node_that_shows_another_version_gets_nothing(machines: Machines, home: Path) -> None:
    versions = replace(own_versions(), foundrylocal=OTHER_VERSION)
    machines.start(FIRST, LARGE_MB, versions=versions)
    machines.start(SECOND, SMALL_MB)
    with serve(machines, home) as service:
        service.start()
        assert chat(service)
        assert machines.nodes[SECOND].workers() and not machines.nodes[FIRST].workers()
        nodes = {one["name"]: one for one in service.get("/cluster").json()["nodes"]}
        assert nodes[FIRST]["has_other_version"]
        assert nodes[FIRST]["versions"]["foundrylocal"] == OTHER_VERSION
        assert "install the same one" in nodes[FIRST]["reason"]


def check_served_by_the_other(machines: Machines, service: Service, reason: str) -> None:
    """The model runs on the second node, and the log says once why not on the first."""
    eventually("both nodes", lambda: len(service.get("/cluster").json()["nodes"]) == 3, 30)
    service.start()
    assert chat(service)
    assert machines.nodes[SECOND].workers() and not machines.nodes[FIRST].workers()
    assert FIRST in service.get("/cluster").json()["suspects"]
    entries = service.get("/logs", params={"count": 1000}).json()
    told = [one["message"] for one in entries if reason in one["message"]]
    assert len(told) == 1, told


def other_code(folder: Path) -> Path:
    """A copy of this program that says it is another version."""
    copy = folder / "other"
    shutil.copytree(REPOSITORY / "src", copy, ignore=shutil.ignore_patterns("__pycache__", "dashboard"))
    package = copy / "foundrylocal" / "__init__.py"
    text, count = re.subn(r'(?<=^__version__ = ")[^"]+', OTHER_VERSION, package.read_text(), flags=re.M)
    assert count == 1
    package.write_text(text)
    return copy
