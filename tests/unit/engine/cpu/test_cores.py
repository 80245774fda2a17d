"""The cores that may be used: affinity, quotas of control groups, two logical processors of one core."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from foundrylocal.engine.cpu.cores import Cores, read_cores
from foundrylocal.engine.cpu.threads import auto_threads


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight logical processors of four cores, as Linux describes them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8 if logical else 4)
    for cpu in range(8):
        folder = tmp_path / "topology" / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n")
    return tmp_path


def read(machine: Path) -> Cores:
    return read_cores(membership=machine / "cgroup", groups=machine / "groups", topology=machine / "topology")


def group(machine: Path, path: str, **files: str) -> None:
    folder = machine / "groups" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_a_machine_without_limits_leaves_the_number_to_the_engine(machine: Path) -> None:
    cores = read(machine)
    assert (len(cores.cpus), cores.physical, cores.quota, cores.usable) == (8, 4, None, 4)
    assert auto_threads(cores) is None


def test_an_affinity_counts_as_the_machine(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 4}, raising=False)
    cores = read(machine)
    assert cores.physical == 2  # 0 and 4 are one core
    assert auto_threads(cores) == 2


@pytest.mark.parametrize(
    ("quota", "threads"),
    [
        ("max 100000", None),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("900000 100000", None),
    ],
)
def test_a_quota_counts_as_the_machine(machine: Path, quota: str, threads: int | None) -> None:
    (machine / "cgroup").write_text("0::/app/web\n")
    group(machine, "app/web", cpu__max=quota)
    assert auto_threads(read(machine)) == threads


def test_the_tightest_group_around_counts(machine: Path) -> None:
    (machine / "cgroup").write_text("0::/app/web\n")
    group(machine, "app/web", cpu__max="300000 100000")
    group(machine, "app", cpu__max="200000 100000")
    assert read(machine).quota == 2


def test_groups_of_version_1(machine: Path) -> None:
    (machine / "cgroup").write_text("4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n")
    group(machine, "cpu/docker/x", cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")
    group(machine, "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert read(machine).quota == 2.5


def test_what_cannot_be_read_is_no_limit(machine: Path) -> None:
    (machine / "cgroup").write_text("nonsense\n")
    assert read(machine).quota is None
    (machine / "cgroup").write_text("0::/app\n")
    group(machine, "app", cpu__max="100 0")
    assert read(machine).quota is None


def test_this_machine_has_a_core() -> None:
    assert read_cores().usable >= 1


def test_replicas_share_the_cores_and_each_has_one_at_least() -> None:
    cores = Cores(frozenset(range(16)), physical=8)
    assert auto_threads(cores, 2) == 4
    assert auto_threads(cores, 3) == 2
    assert auto_threads(cores, 20) == 1
    assert auto_threads(Cores(frozenset(range(16)), physical=8, quota=5.0), 2) == 2
