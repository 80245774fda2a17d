"""Lanes of worker threads for long blocking work, apart from the pool that short calls share.

Invariant: a lane never uses more threads than its limit; further calls wait in order and hold no thread. So
hashing and slow disks cannot take the threads that every other call needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel
import anyio.to_thread

T = TypeVar("T")
Args = TypeVarTuple("Args")


class ThreadLane:
    """A named share of threads; one object serves every event loop of the process."""

    def __init__(self, name: str, max_threads: int) -> None:
        self._max_threads = max_threads
        self._limiter: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar(name)

    async def run(self, work: Callable[[*Args], T], *args: *Args) -> T:
        """Call `work(*args)` in a thread of this lane; raises what it raises.

        A cancelled call leaves the queue at once; work that has begun ends at its next `check_cancelled`.
        """
        return await anyio.to_thread.run_sync(work, *args, limiter=self.limiter())

    async def run_abandonable(self, work: Callable[[*Args], T], *args: *Args) -> T:
        """Like `run`, but a cancelled call returns at once; its thread ends when the work does."""
        return await anyio.to_thread.run_sync(work, *args, limiter=self.limiter(), abandon_on_cancel=True)

    def limiter(self) -> anyio.CapacityLimiter:
        """What bounds its threads on the running event loop."""
        try:
            return self._limiter.get()
        except LookupError:
            limiter = anyio.CapacityLimiter(self._max_threads)
            self._limiter.set(limiter)
            return limiter
