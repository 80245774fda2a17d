"""Lets a task that has nothing to do sleep until there is something: no look at the clock in between.

Invariant: a `set` is never lost; several of them before the next wait are one.
"""

from __future__ import annotations

import asyncio
import math

import anyio


class Wake:
    """One task waits, anybody on its event loop sets; other threads by `set_from_thread`."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def set(self) -> None:
        """Wake the task, or have it go on at once when it waits next."""
        if not self._event.is_set():
            self._event.set()

    def set_from_thread(self) -> None:
        """The same from any thread; before the first wait it is not needed."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.set)

    async def wait(self, timeout_s: float = math.inf) -> None:
        """Wait until it is set, for `timeout_s` at most."""
        self._loop = asyncio.get_running_loop()
        with anyio.move_on_after(timeout_s):
            await self._event.wait()
        if self._event.is_set():
            self._event = anyio.Event()
