"""Waiting for a replica on a node to be ready: how long, and what its progress is."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from foundrylocal.engine.ray.members import Member
from foundrylocal.engine.ray.orders import Phase
from foundrylocal.engine.replica import Address
from foundrylocal.errors import NodeUnusable, ServerStartTimeout

PROGRESS_PERIOD_S = 0.5
MAX_LOAD_S = 86_400.0
# Ray starts an actor in seconds, unless the node has no memory left for it, and then it says nothing.
MAX_SILENCE_S = 90.0
# Of the whole progress, the share that bringing the files has on a node that does not have them.
FILES_SHARE = 0.5


async def wait_settled(
    member: Member, timeout_s: float | None, on_progress: Callable[[float], None] | None
) -> Address | None:
    """Its address once it is ready, None when it has ended.

    `timeout_s` counts from the moment at which its files are there. Without it the node decides: it ends a load that
    makes no progress. Raises ServerStartTimeout, and NodeUnusable when the node does not even start it.
    """
    silent_until = anyio.current_time() + MAX_SILENCE_S
    limit_s = MAX_LOAD_S if timeout_s is None else timeout_s
    deadline = anyio.current_time() + limit_s
    had_files = True
    while not member.is_settled:
        if member.phase is Phase.FILES and member.share < 1.0:
            had_files, deadline = False, anyio.current_time() + limit_s
        if member.phase is Phase.BEGUN and anyio.current_time() > silent_until:
            reason = f"It did not start the replica within {MAX_SILENCE_S:g} s: another service may use its memory."
            raise NodeUnusable(member.node, reason)
        if anyio.current_time() > deadline:
            raise ServerStartTimeout(limit_s)
        if on_progress is not None:
            on_progress(min(0.99, progress(member, had_files=had_files)))
        with anyio.move_on_after(min(PROGRESS_PERIOD_S, max(0.01, deadline - anyio.current_time()))):
            await member.changes.wait_until(lambda: member.is_settled)
    return member.address


def progress(member: Member, *, had_files: bool) -> float:
    """How far it is, from 0.0 to 1.0."""
    if member.phase is Phase.FILES:
        return member.share * FILES_SHARE
    if member.phase is not Phase.LOADING:
        return 0.0
    return member.share if had_files else FILES_SHARE + member.share * (1 - FILES_SHARE)
