"""An event loop whose clock jumps to the next timer when there is nothing to do: hours pass in milliseconds.

Only the clock is not real: tasks, timeouts and cancellation are the loop's own. While a worker thread runs the clock
stands still, since what a thread does takes no virtual time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from foundrylocal.kit.threads import ThreadLane

T = TypeVar("T")

THREAD_LOOK_S = 0.001
MAX_VIRTUAL_S = 1_000_000.0


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Never blocks for longer than a look: the time that `select` would have waited passes at once."""

    now = 0.0
    jumps = 0
    limiters: tuple[anyio.CapacityLimiter, ...] = ()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if any(limiter.borrowed_tokens for limiter in self.limiters):
            return super().select(THREAD_LOOK_S)
        if timeout is None or self.now > MAX_VIRTUAL_S:
            raise AssertionError("deadlock: every task waits, and there is no timer that could wake one")
        self.now += timeout
        self.jumps += timeout > 0
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = _JumpingSelector()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


def run(main: Callable[[], Awaitable[T]], *lanes: ThreadLane) -> T:
    """Run `main` on such a loop; the clock stands still while threads of these lanes run, too."""

    async def start() -> T:
        loop: Any = asyncio.get_running_loop()
        of_lanes = (lane.limiter() for lane in lanes)
        loop.jumping.limiters = (anyio.to_thread.current_default_thread_limiter(), *of_lanes)
        return await main()

    return anyio.run(start, backend_options={"loop_factory": _VirtualLoop})


def wakeups() -> int:
    """How often a timer has woken the loop so far."""
    loop: Any = asyncio.get_running_loop()
    return int(loop.jumping.jumps)


async def settle() -> None:
    """Let every task that can run do so, without time passing."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()
