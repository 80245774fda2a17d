"""Requests whose replica was lost with its node: noticed at once, and repeated elsewhere if nothing had begun.

A node that is lost closes no connection, so that the request would wait for the system to notice that its peer is
silent (`engine/keepalive.py`). Invariant: a request is repeated once at most, and never after its answer has begun.
"""

from __future__ import annotations

from collections.abc import Awaitable

import anyio

from foundrylocal.engine.replica import Cause
from foundrylocal.errors import NodeLost
from foundrylocal.gateway.flow.relay import NothingSent, end_stream_with
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.pool.roster import Replica


def is_node_lost(replica: Replica) -> bool:
    """Whether its node is gone. The node of a worker that crashed says so at once; silence means that it is lost."""
    if replica.lost_cause is not None:
        return replica.lost_cause is Cause.NODE
    return replica.node != ""


def repeat_once(request: InferenceRequest, replica: Replica, has_begun: bool) -> Exception:
    """What becomes of a request that was lost with its node: NothingSent has another replica try it."""
    may_repeat = not has_begun and not request.is_repeated
    request.is_repeated = True
    return NothingSent() if may_repeat else NodeLost(replica.node)


async def end_with_node(replica: Replica, request: InferenceRequest, exchange: Awaitable[None]) -> None:
    """Await the exchange with the replica's worker, and end it as soon as its node is known to be lost.

    Raises what the exchange raises; when the node is lost, NothingSent or NodeLost before the answer has begun.
    """
    if not replica.node:  # a process of this machine closes its connections when it ends
        await exchange
        return
    failure: Exception | None = None
    is_lost = False
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            nonlocal is_lost
            await replica.ended()
            if replica.lost_cause is Cause.NODE:
                is_lost = True
                group.cancel_scope.cancel()

        group.start_soon(watch)
        try:
            await exchange
        except Exception as error:  # noqa: BLE001 - raised below, out of the group
            failure = error
        else:
            is_lost = False
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if is_lost:
        await _end(replica, request)


async def _end(replica: Replica, request: InferenceRequest) -> None:
    if request.stats.first_s is None:
        raise repeat_once(request, replica, has_begun=False)
    await end_stream_with(NodeLost(replica.node), request)
