"""What a download is: its job while it lasts, its result, its line in a list, and when it is its turn.

Invariant: at most `DOWNLOADS_AT_ONCE` jobs run, and none before one that was asked for earlier and waits.
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

DOWNLOADS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A download that ended well; `seconds` is 0 for a model that was there already."""

    model: Model
    file_size_bytes: int
    seconds: int


@dataclass(frozen=True, slots=True)
class DownloadStatus:
    """One download that runs or waits; `state` is queued, downloading or verifying."""

    model_id: str
    simple_name: str
    state: str
    requested_at: float
    measure: Measure | None


@dataclass(slots=True)
class Job:
    """One download of a model, from the moment it was asked for until it has ended."""

    model: Model
    operation: Operation[Downloaded]
    meter: Meter
    requested_at: float = field(default_factory=now_s)
    step: Literal["looking", "waiting", "running"] = "looking"
    turn: anyio.Event = field(default_factory=anyio.Event)
    asked: int = 1
    """How many asked for it and have not taken that back."""
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
    """Let the next ones run; `jobs` are all there are, in the order in which they were asked for."""
    jobs = list(jobs)
    free = DOWNLOADS_AT_ONCE - sum(job.step == "running" for job in jobs)
    for job in jobs:
        # One that is still looking at the disk may want the place that a later one would take.
        if free <= 0 or job.step == "looking":
            return
        if job.step == "waiting":
            job.step = "running"
            job.turn.set()
            free -= 1
