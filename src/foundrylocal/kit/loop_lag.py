"""How long the event loop has stood still, so that its own delay is not taken for somebody else's silence."""

from __future__ import annotations

import anyio

TICK_S = 0.1
# What a busy machine adds to a timer; less than this is no standstill.
MIN_LAG_S = 0.25


class LoopLag:
    """`total_s` is the sum of the standstills while `run` was running, in seconds."""

    def __init__(self) -> None:
        self.total_s = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            began = anyio.current_time()
            await anyio.sleep(TICK_S)
            lag_s = anyio.current_time() - began - TICK_S
            if lag_s >= MIN_LAG_S:
                self.total_s += lag_s
