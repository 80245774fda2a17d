"""A system that has no more descriptors or processes: a clean 503 while it lasts, and nothing of it after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running import CHAT_MODEL, Service, eventually

PIDS = Path("/sys/fs/cgroup/pids")


def _is_clean(service: Service) -> bool:
    """One start under want: it succeeds, or it is a 503 that leaves nothing; True when it succeeded."""
    answer = service.post("/start", {"model_name": CHAT_MODEL})
    if answer.status_code == 200:
        service.post("/stop")
        return True
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (
        503,
        "unavailable_error",
        "system_exhausted",
    )
    assert "out of resources" in error["message"] and "Loading model" not in error["message"]
    assert int(answer.headers["retry-after"]) > 0
    assert service.status()["status"] == "stopped"
    return False


def test_row_10_without_descriptors_a_start_is_a_clean_503_and_recovers(service: Service) -> None:
    service.get("/health")
    process = psutil.Process(service.process.pid)
    limits = process.rlimit(psutil.RLIMIT_NOFILE)
    there = process.num_fds()
    refused = 0
    for more in range(1, 100, 3):  # one more of its needs is met each time
        process.rlimit(psutil.RLIMIT_NOFILE, (there + more, limits[1]))
        if _is_clean(service):
            break
        refused += 1
    else:
        pytest.fail("99 descriptors more are not enough for a start")
    assert refused > 3
    process.rlimit(psutil.RLIMIT_NOFILE, limits)
    assert service.start()["success"] is True


@pytest.fixture
def no_processes(service: Service, tmp_path: Path) -> Iterator[Path]:
    """A control group for the service; its file takes how many threads and processes there may be."""
    group = PIDS / f"foundrylocal-{tmp_path.name}"
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(service.process.pid))
    except OSError as error:
        pytest.skip(f"no control group for processes can be made here: {error.strerror}")
    yield group / "pids.max"
    (group / "pids.max").write_text("max")
    for pid in (group / "cgroup.procs").read_text().split():
        (PIDS / "cgroup.procs").write_text(pid)
    eventually("the group is empty", lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def test_row_10_without_processes_a_start_is_a_clean_503_and_recovers(
    service: Service, no_processes: Path
) -> None:
    assert _is_clean(service)  # so that every thread that a start takes is there
    no_processes.write_text("1")
    assert not _is_clean(service)
    no_processes.write_text("max")
    assert service.start()["success"] is True
    service.post("/stop")


def _lines(service: Service, text: str) -> int:
    return sum(text in line["message"] for line in service.get("/logs?count=1000").json())


def test_row_29_without_descriptors_no_worker_is_ended(service: Service) -> None:
    service.start(options={"health_check_interval_seconds": 1})
    (worker,) = service.workers()
    process = psutil.Process(service.process.pid)
    limits = process.rlimit(psutil.RLIMIT_NOFILE)
    with service.gateway() as gateway:
        body = {"messages": [{"role": "user", "content": "Hi"}]}
        assert gateway.post("/v1/chat/completions", json=body).status_code == 200
        process.rlimit(
            psutil.RLIMIT_NOFILE, (3, limits[1])
        )  # those that are open stay, no new one is to be had
        eventually("probes fail for want of descriptors", lambda: _lines(service, "check skipped") > 4, 30)
        refused = gateway.post("/v1/chat/completions", json=body)
        process.rlimit(psutil.RLIMIT_NOFILE, limits)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (503, "system_exhausted")
        assert "Too many open files" in error["details"]
        assert gateway.post("/v1/chat/completions", json=body).status_code == 200
    assert service.workers() == [worker]
    assert service.status()["status"] == "running"
    assert _lines(service, "check failed") == 0
