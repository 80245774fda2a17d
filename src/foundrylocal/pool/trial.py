"""A replica for a trial: outside the roster, so it takes no requests, and it leaves when the trial ends.

Invariant: nobody leaves memory for a trial, and no worker of one is left, however it ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.pool.room_claims import RoomClaims


@asynccontextmanager
async def trial_replica(
    launcher: Launcher,
    rooms: RoomClaims,
    spec: ReplicaSpec,
    timeout_s: float,
    on_progress: Callable[[float], None] | None = None,
) -> AsyncIterator[Address]:
    """Load a replica for the time of the block, beside everything that is in memory; `timeout_s` bounds the load.

    Raises InsufficientMemory when it does not fit, ServerStartFailed, ServerStartTimeout, SystemExhausted.
    """
    try:
        await rooms.launch_trial(spec)
        yield await launcher.wait_ready(spec.id, timeout_s, on_progress)
    finally:
        with anyio.CancelScope(shield=True):
            await launcher.kill(spec.id)
