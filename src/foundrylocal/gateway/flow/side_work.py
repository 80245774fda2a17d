"""Requests that take no slot of a model (token counts, templates): few at once, in a bounded queue.

Invariant: at most MAX_RUNNING of them run on a model, however many are sent. A client that leaves gives its place
back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from foundrylocal.errors import QueueFull

MAX_RUNNING = 2
MAX_WAITING = 64
WAIT_TIMEOUT_S = 30.0
RETRY_AFTER_S = 5


class SideWork:
    """Owner of the places, by model."""

    def __init__(self) -> None:
        self._places: dict[str, anyio.CapacityLimiter] = defaultdict(
            lambda: anyio.CapacityLimiter(MAX_RUNNING)
        )

    @asynccontextmanager
    async def place(self, model_id: str) -> AsyncIterator[None]:
        """A place for the duration of the block. Raises QueueFull."""
        places = self._places[model_id]
        waiting = places.statistics().tasks_waiting
        if waiting >= MAX_WAITING:
            raise QueueFull(waiting, RETRY_AFTER_S)
        holder = object()
        try:
            with anyio.fail_after(WAIT_TIMEOUT_S):
                await places.acquire_on_behalf_of(holder)
        except TimeoutError:
            raise QueueFull(places.statistics().tasks_waiting, RETRY_AFTER_S) from None
        try:
            yield
        finally:
            places.release_on_behalf_of(holder)
