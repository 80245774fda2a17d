"""What one check of the doctor found: a level, one line that says so, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """WARNING: it works, but worse than it could, or not for everything. ERROR: something will fail."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for people; `action` is the next step and is None when there is nothing to do."""

    level: Level
    message: str
    action: str | None = None


def ok(message: str) -> Finding:
    return Finding(Level.OK, message)


def warning(message: str, action: str) -> Finding:
    return Finding(Level.WARNING, message, action)


def error(message: str, action: str) -> Finding:
    return Finding(Level.ERROR, message, action)


def worst(levels: list[Level]) -> Level:
    """The most serious of some levels; OK when there are none."""
    order = list(Level)
    return max(levels, key=order.index, default=Level.OK)
