"""What the parts of the program tell each other: facts, frozen, with no behaviour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """How far a long step has come; what is not known is None."""

    stage: str
    percent: float | None = None
    downloaded_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    eta_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of an operation that goes on; a line without a measure is a milestone."""

    message: str
    measure: Measure | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The end of an operation that did what it was asked; `result` is what its caller gets."""

    message: str
    result: object


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of an operation that did not; `error` is what its caller gets."""

    error: Exception


Event = Progress | Succeeded | Failed


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One recorded log line; `number` rises by one with each and `time` is UTC seconds since the epoch."""

    number: int
    time: float
    level: str
    message: str
    source: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The server's state moved from `before` to `after`; `model_id` is the model it is about."""

    before: str
    after: str
    model_id: str | None
