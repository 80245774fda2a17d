"""Events that the parts of the program exchange: immutable facts without behaviour."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """How far a long step has got; unknown values are None."""

    stage: str
    percent: float | None = None
    downloaded_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_second: float | None = None
    eta_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of an operation in progress; a line without a measure is a milestone."""

    message: str
    measure: Measure | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """An operation finished; `result` is what its caller gets."""

    message: str
    result: object


@dataclass(frozen=True, slots=True)
class Failed:
    """An operation failed; `error` is what its caller gets."""

    error: Exception


Event = Progress | Succeeded | Failed


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One recorded log line; `number` increases by one per line and `time` is in UTC seconds since the epoch."""

    number: int
    time: float
    level: str
    message: str
    source: str


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The server's state changed from `before` to `after`; `model_id` is the model concerned."""

    before: str
    after: str
    model_id: str | None
