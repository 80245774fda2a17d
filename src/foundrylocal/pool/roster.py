"""A loaded model and its use."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.kit.clock import now_s


@dataclass(eq=False)
class Replica:
    """Times by the monotonic clock but for `loaded_at`, which is for people; the pool writes, others read.

    `has_left` is one that takes no new requests for good; one that `is_retiring` leaves only when its last answer
    has ended, and so may be called back. `gone` is set when its process has ended, on purpose or not; then
    `lost_reason` says why, if it crashed.
    """

    model: Model
    spec: ReplicaSpec
    endpoint: Address
    last_used: float
    loaded_at: float = field(default_factory=now_s)
    in_flight: int = 0
    is_pinned: bool = False
    has_left: bool = False
    is_retiring: bool = False
    missed_probes: int = 0
    lost_reason: str | None = None
    retirement: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    gone: anyio.Event = field(default_factory=anyio.Event)
    _idle: anyio.Event = field(default_factory=anyio.Event)

    def release(self, now: float) -> None:
        self.in_flight -= 1
        self.last_used = now
        if self.in_flight == 0:
            self._idle.set()

    async def drained(self) -> None:
        """Wait until no request uses it."""
        while self.in_flight:
            if self._idle.is_set():  # a new one while another waits would leave that one waiting for ever
                self._idle = anyio.Event()
            await self._idle.wait()
