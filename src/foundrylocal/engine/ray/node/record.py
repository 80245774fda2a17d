"""The node that runs on this machine for this home, recorded in the state folder so that other commands find it.

Invariant: only the command that runs the node writes or removes the record, and a record whose process has ended, or
whose pid belongs to another process by now, does not count.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import psutil

from foundrylocal.kit.atomic_file import sweep_leftovers, write_atomically

_NAME = "cluster-node.json"
_MAX_BYTES = 4096
_CLOCK_SLACK_S = 2.0


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A running node: the command's process, its own address, and the head's; `started_s` since the epoch."""

    role: Literal["head", "node"]
    pid: int
    started_s: float
    address: str
    head: str


def own_record(role: Literal["head", "node"], address: str, head: str) -> NodeRecord:
    """The record of a node that this process runs."""
    return NodeRecord(role, os.getpid(), psutil.Process().create_time(), address, head)


@contextlib.contextmanager
def recorded_node(state: Path, record: NodeRecord) -> Iterator[None]:
    """Keep the node on record inside the block. Raises OSError."""
    path = state / _NAME
    sweep_leftovers(path)
    write_atomically(path, json.dumps(asdict(record)).encode(), mode=0o600)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_node(state: Path) -> NodeRecord | None:
    """The node that runs for this home; None when none does."""
    try:
        with (state / _NAME).open("rb") as file:
            record = NodeRecord(**json.loads(file.read(_MAX_BYTES)))
        is_running = _is_running(record)
    except (OSError, ValueError, TypeError):
        return None
    return record if is_running else None


def _is_running(record: NodeRecord) -> bool:
    try:
        process = psutil.Process(record.pid)
        is_same = abs(process.create_time() - record.started_s) < _CLOCK_SLACK_S
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
