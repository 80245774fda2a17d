"""The right of a replica to run: it ends when nobody has renewed it for a while.

A service that is killed and never comes back, or that a broken network separates from a node, cannot end its
replicas there. Without leases they would hold memory that nobody owns.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

RENEWALS_PER_LEASE = 6
CHECKS_PER_LEASE = 12


class Lease:
    """Runs out `keep_s` after the last renewal; `clock` is monotonic, in seconds."""

    def __init__(self, keep_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._renewed_at = clock()

    def renew(self) -> None:
        self._renewed_at = self._clock()

    @property
    def is_over(self) -> bool:
        return self._clock() - self._renewed_at > self._keep_s

    @property
    def check_period_s(self) -> float:
        """How often to look whether it is over."""
        return self._keep_s / CHECKS_PER_LEASE


def renewal_period_s(keep_s: float) -> float:
    """How often the link renews: several renewals may be lost before the lease is over."""
    return keep_s / RENEWALS_PER_LEASE
