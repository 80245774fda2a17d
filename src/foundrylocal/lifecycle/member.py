"""A loaded model and its use."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.spec import Endpoint, ReplicaSpec
from foundrylocal.kit.clock import now_s


@dataclass(eq=False)
class Member:
    """Times by the monotonic clock but for `loaded_at`, which is for people; the fleet writes, others read.

    `gone` is set when its process has ended, on purpose or not; then `lost_reason` says why, if it crashed.
    """

    model: Model
    spec: ReplicaSpec
    endpoint: Endpoint
    last_used: float
    loaded_at: float = field(default_factory=now_s)
    in_flight: int = 0
    is_pinned: bool = False
    has_left: bool = False
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
            self._idle = anyio.Event()
            await self._idle.wait()
