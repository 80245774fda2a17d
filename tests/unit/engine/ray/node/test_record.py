"""The record of the node that runs here: it counts as long as its process runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from foundrylocal.engine.ray.node.record import find_node, own_record, recorded_node

RECORD = own_record("head", "127.0.1.1", "127.0.1.1:6379")


def test_a_node_is_found_while_it_runs(tmp_path: Path) -> None:
    with recorded_node(tmp_path, RECORD):
        assert find_node(tmp_path) == RECORD
        assert (tmp_path / "cluster-node.json").stat().st_mode & 0o777 == 0o600
    assert find_node(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "record", [replace(RECORD, started_s=RECORD.started_s - 100), replace(RECORD, pid=2**22 + 1)]
)
def test_a_pid_that_another_process_has_by_now_does_not_count(tmp_path: Path, record: object) -> None:
    with recorded_node(tmp_path, record):  # type: ignore[arg-type]
        assert find_node(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', '{"role": 1, "pid": "x", "a": 2}'])
def test_a_damaged_record_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "cluster-node.json").write_text(content)
    assert find_node(tmp_path) is None
