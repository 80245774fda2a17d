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
from foundrylocal.errors import FoundryLocalError, OperationCancelled
from foundrylocal.events import Failed, Measure, Succeeded
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
    """A download that has not ended; `state` is queued, downloading, verifying or paused."""

    model_id: str
    simple_name: str
    state: str
    requested_at: float
    measure: Measure | None


@dataclass(frozen=True, slots=True)
class EndedDownload:
    """A download that ended; `kept_bytes` stay on disk for the next attempt if it did not complete."""

    model: Model
    state: Literal["done", "failed", "cancelled"]
    ended_at: float
    file_size_bytes: int
    kept_bytes: int
    error: FoundryLocalError | None


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
    is_paused: bool = False

    def as_status(self) -> DownloadStatus:
        latest = self.operation.latest
        return DownloadStatus(
            self.model.model_id,
            self.model.simple_name,
            self.meter.stage,
            self.requested_at,
            latest.measure if latest is not None else None,
        )

    @property
    def was_paused(self) -> bool:
        """Whether a pause ended it; a commit that has begun is completed anyway."""
        outcome = self.operation.outcome
        error = outcome.error if isinstance(outcome, Failed) else None
        return isinstance(error, OperationCancelled) and error.is_paused and not self.is_cancelled

    def as_ended(self) -> EndedDownload | None:
        """How it ended; None if the model was on disk already or the job was refused at once."""
        outcome, latest = self.operation.outcome, self.operation.latest
        if self.step == "looking" or outcome is None:
            return None
        measure = latest.measure if latest is not None else None
        received = (measure.downloaded_bytes if measure else None) or 0
        if isinstance(outcome, Succeeded):
            result = outcome.result
            size = result.file_size_bytes if isinstance(result, Downloaded) else received
            return EndedDownload(self.model, "done", now_s(), size, 0, None)
        error = outcome.error if isinstance(outcome.error, FoundryLocalError) else None
        if isinstance(error, OperationCancelled):
            return EndedDownload(self.model, "cancelled", now_s(), 0, received, None)
        return EndedDownload(self.model, "failed", now_s(), 0, received, error)


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
