"""Small versions of the loads in benchmarks/load_figures.py: what they leave behind in the service."""

from __future__ import annotations

from pathlib import Path

from benchmarks.load_figures import (
    MAX_EXTRA_DESCRIPTORS,
    MAX_EXTRA_THREADS,
    HealthProbe,
    Usage,
    abort_streams,
    cycle,
    idle_connections,
    loaded_service,
)
from benchmarks.processes import BASE
from foundrylocal.pool.measured_times import FILE_NAME
from tests.running import eventually


def _files(home: Path) -> list[Path]:
    """The files of a home, without logs and without what is being written at this moment."""
    found = (path for path in home.rglob("*") if "logs" not in path.parts)
    return sorted(path for path in found if not path.name.endswith(".new"))


def test_start_stop_cycles_leave_no_descriptor_thread_process_or_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with loaded_service(home) as running:
        cycle(running, 3)
        eventually("load times are saved", (home / "state" / FILE_NAME).exists)
        before, files = Usage.of(running), _files(home)
        cycle(running, 20)
        after = Usage.of(running)
        assert not running.process.children(recursive=True)
        assert _files(home) == files
    assert after.descriptors - before.descriptors <= MAX_EXTRA_DESCRIPTORS
    assert after.threads - before.threads <= MAX_EXTRA_THREADS


def test_aborted_streams_and_idle_connections_leave_no_descriptor_and_no_call_fails(tmp_path: Path) -> None:
    with loaded_service(tmp_path / "home") as running:
        abort_streams(running.port, f"{BASE}/events", 10)
        before = Usage.of(running).descriptors
        with HealthProbe(running.port) as probe:
            abort_streams(running.port, f"{BASE}/events", 150)
            with idle_connections(running.port, 100):
                running.call("GET", "/status")
        assert probe.failures == 0
        eventually(
            "descriptors are free again",
            lambda: Usage.of(running).descriptors - before <= MAX_EXTRA_DESCRIPTORS,
        )
