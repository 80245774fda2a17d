"""Wait until something is so: a condition variable for one event loop, where no lock is needed."""

from __future__ import annotations

from collections.abc import Callable

import anyio


class Changes:
    """The owner of some state calls `notify` after each change that somebody may wait for."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def notify(self) -> None:
        """Have everybody who waits look again."""
        event, self._next = self._next, anyio.Event()
        event.set()

    async def wait_until(self, is_met: Callable[[], bool]) -> None:
        """Return when `is_met` holds, at once if it does already; the caller bounds the wait."""
        while not is_met():
            await self._next.wait()
