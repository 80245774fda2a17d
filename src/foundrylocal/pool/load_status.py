"""How far a load has come and how much longer it will take, for those who wait for it."""

from __future__ import annotations

from dataclasses import dataclass

from foundrylocal.pool.measured_times import Duration


@dataclass(frozen=True, slots=True)
class LoadStatus:
    """`progress` from 0 to 1; `eta_s` is None unless such a load was measured on this machine and is not overdue."""

    progress: float
    eta_s: float | None


def load_status(progress: float, elapsed_s: float, expected: Duration) -> LoadStatus:
    """The status of a load that began `elapsed_s` ago and is expected to take so long; no time left is guessed."""
    left_s = expected.seconds - elapsed_s
    return LoadStatus(progress, left_s if expected.basis == "measured" and left_s >= 0 else None)
