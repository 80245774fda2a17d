"""A replica for a trial: outside the roster, so it takes no requests, and it leaves when the trial ends.

Invariant: nobody leaves memory for a trial, and no worker of one is left, however it ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.errors import InsufficientMemory
from foundrylocal.kit.sizes import format_bytes


@asynccontextmanager
async def trial_replica(
    launcher: Launcher,
    spec: ReplicaSpec,
    timeout_s: float,
    *,
    reserve_bytes: int,
    room: anyio.Lock,
    on_progress: Callable[[float], None] | None = None,
) -> AsyncIterator[Address]:
    """Load a replica for the time of the block, beside everything that is in memory.

    `timeout_s` bounds the load; `room` is held while memory is checked and claimed. Raises InsufficientMemory when it
    does not fit, ServerStartFailed, ServerStartTimeout, SystemExhausted.
    """
    try:
        async with room:
            rooms = await launcher.rooms(spec, reserve_bytes)
            free = next((room.free_bytes for room in rooms if not room.node), 0)
            if spec.memory_bytes > free:
                raise InsufficientMemory(format_bytes(spec.memory_bytes), format_bytes(max(0, free)))
            await launcher.launch(spec)
        yield await launcher.wait_ready(spec.id, timeout_s, on_progress)
    finally:
        with anyio.CancelScope(shield=True):
            await launcher.kill(spec.id)
