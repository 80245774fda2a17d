"""Tells an engine that is stuck from one that works: asked through its own task queue, which `/health` is not.

`/slots` is answered by the engine's main loop, between two batches. A batch of prefill may take long on a busy
machine, so the bound is several times what the slowest answer so far took, and never less than MIN_BOUND_S.

Invariant: an engine that answered within the bound is never called stuck, nor is one that was asked for less time.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import anyio

from foundrylocal.engine.client import AnswerBroken, WorkerUnreachable, ask
from foundrylocal.engine.replica import Address

PERIOD_S = 5.0
MIN_BOUND_S = 25.0
MAX_BOUND_S = 40.0
# A batch may hold more tokens than the slowest one so far, on a machine that is busier than then.
SAFETY = 4.0
PROBE = "/slots"


class EngineWatchdog:
    """Judges one engine by the times of its answers."""

    def __init__(self, now_s: Callable[[], float] = monotonic) -> None:
        self._now_s = now_s
        self._slowest_s = 0.0

    @property
    def bound_s(self) -> float:
        """How long the engine may be silent."""
        return min(MAX_BOUND_S, max(MIN_BOUND_S, SAFETY * self._slowest_s))

    def note(self, took_s: float) -> None:
        """Note how long an answer took."""
        self._slowest_s = max(self._slowest_s, took_s)

    async def is_stuck(self, address: Address) -> bool:
        """Ask once, for as long as the bound allows. An engine that cannot be reached is gone, not stuck."""
        began = self._now_s()
        try:
            with anyio.fail_after(self.bound_s):
                async with ask(address, PROBE) as answer:
                    await answer.read()
        except TimeoutError:
            return True
        except (AnswerBroken, WorkerUnreachable):
            return False
        self.note(self._now_s() - began)
        return False
