"""A replica for a trial: outside the roster, so it takes no requests, and it leaves when the trial ends.

Invariant: nobody leaves memory for a trial, and no worker of one is left, however it ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.errors import InsufficientMemory
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool.eviction import Refusal
from foundrylocal.pool.rooms import has_gpu_room, plan_room

Launch = Callable[[ReplicaSpec], Awaitable[None]]


async def launch_where_free(launcher: Launcher, reserve_bytes: int, spec: ReplicaSpec) -> None:
    """Launch a replica in a room that has the memory now. Raises InsufficientMemory."""
    rooms = [room for room in await launcher.rooms(spec, reserve_bytes) if has_gpu_room(room, spec)]
    found = plan_room(spec.model_id, spec.memory_bytes, rooms, ())
    if isinstance(found, Refusal):
        raise InsufficientMemory(format_bytes(found.needed_bytes), format_bytes(found.free_bytes))
    await launcher.launch(spec, found.node)


@asynccontextmanager
async def trial_replica(
    launcher: Launcher,
    launch: Launch,
    spec: ReplicaSpec,
    timeout_s: float,
    on_progress: Callable[[float], None] | None = None,
) -> AsyncIterator[Address]:
    """Load a replica for the time of the block, beside everything that is in memory; `timeout_s` bounds the load.

    `launch` begins that where there is room.

    Raises InsufficientMemory when it does not fit, ServerStartFailed, ServerStartTimeout, SystemExhausted.
    """
    try:
        await launch(spec)
        yield await launcher.wait_ready(spec.id, timeout_s, on_progress)
    finally:
        with anyio.CancelScope(shield=True):
            await launcher.kill(spec.id)
