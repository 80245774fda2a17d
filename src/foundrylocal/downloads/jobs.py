"""Download jobs: a job while it lasts, its result, its entry in the list, and whose turn is next.

Invariant: at most `MAX_RUNNING` jobs run, and none starts before an earlier one that is still waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.downloads.meter import Meter
from foundrylocal.events import Measure
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.operation import Operation

MAX_RUNNING = 2


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A completed download; `seconds` is 0 for a model that was already on disk."""

    model: Model
    file_size_bytes: int
    seconds: int


@dataclass(frozen=True, slots=True)
class DownloadStatus:
    """A running or queued download; `state` is queued, downloading or verifying."""

    model_id: str
    simple_name: str
    state: str
    requested_at: float
    measure: Measure | None


@dataclass(slots=True)
class Job:
    """One download of a model, from the first request until it has ended.

    `step` is `looking` while the disk is checked for the model, then `waiting` for its turn, then `running`.
    """

    model: Model
    operation: Operation[Downloaded]
    meter: Meter
    requested_at: float = field(default_factory=now_s)
    step: Literal["looking", "waiting", "running"] = "looking"
    turn: anyio.Event = field(default_factory=anyio.Event)
    requesters: int = 1
    """How many callers requested it and have not withdrawn."""
    is_cancelled: bool = False

    def as_status(self) -> DownloadStatus:
        latest = self.operation.latest
        return DownloadStatus(
            self.model.model_id,
            self.model.simple_name,
            self.meter.stage,
            self.requested_at,
            latest.measure if latest is not None else None,
        )


def give_turns(jobs: Iterable[Job]) -> None:
    """Let the next jobs run; `jobs` are all jobs, in the order they were requested."""
    jobs = list(jobs)
    free = MAX_RUNNING - sum(job.step == "running" for job in jobs)
    for job in jobs:
        # A job that is still looking may need the place that a later one would take.
        if free <= 0 or job.step == "looking":
            return
        if job.step == "waiting":
            job.step = "running"
            job.turn.set()
            free -= 1
