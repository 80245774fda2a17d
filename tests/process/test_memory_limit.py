"""A worker that runs out of memory: the kernel ends it, and everybody is told so in words."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import BASE_PATH, CHAT_MODEL, running

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
ENOUGH_FOR_PYTHON = 48 * 1024 * 1024


@pytest.fixture
def small_memory(tmp_path: Path) -> Iterator[Path]:
    """A control group whose processes may use little memory; the file that takes its process ids."""
    parent, limit = (V1, "memory.limit_in_bytes") if V1.is_dir() else (V2, "memory.max")
    group = parent / f"foundrylocal-{tmp_path.name}"
    try:
        group.mkdir()
        (group / limit).write_text(str(ENOUGH_FOR_PYTHON))
    except OSError as error:
        pytest.skip(f"no control group for memory can be made here: {error.strerror}")
    try:
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


@pytest.mark.model
def test_row_08_a_worker_out_of_memory_is_a_clear_error_and_the_service_lives(
    home: Path, model_cache: Path, small_memory: Path
) -> None:
    confined = f"echo $$ > {shlex.quote(str(small_memory))}; exec {sys.executable} -P -m foundrylocal.worker"
    with running(home, worker=["sh", "-c", confined], FOUNDRYLOCAL_CACHE_DIR=str(model_cache)) as service:
        answer = service.post("/start", {"model_name": CHAT_MODEL})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (507, "insufficient_memory")
        assert "ran out of memory" in error["details"]
        assert service.status()["last_error"]["details"] == error["details"]
        assert service.http.get(f"{service.root}{BASE_PATH}/health").json()["status"] == "healthy"
        assert service.workers() == []
