"""Follows each replica by a call that its actor answers when there is news: the same call renews the lease.

Invariant: for each replica that is watched, the service hears of its end, once: its last update, or `lost`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from ray.actor import ActorHandle
from ray.exceptions import ActorUnavailableError, RayError

from foundrylocal.engine.ray.lease import renewal_period_s
from foundrylocal.engine.ray.link_child.cluster import Cluster
from foundrylocal.engine.ray.orders import FileServerAddress, decode_update

UNAVAILABLE_PAUSE_S = 0.5
# An actor whose process is killed is gone in moments; the list of nodes needs some seconds for a lost machine.
MAX_WATCH_S = 10.0

Emit = Callable[[dict[str, Any]], None]


class Watcher:
    """The owner of the watches; `keep_s` is how long a lease lasts."""

    def __init__(self, cluster: Cluster, files_at: FileServerAddress, keep_s: float, emit: Emit) -> None:
        self._cluster = cluster
        self._files_at = {"url": files_at.url, "key": files_at.key}
        self._wait_s = min(MAX_WATCH_S, renewal_period_s(keep_s))
        self._emit = emit
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._actors: dict[str, ActorHandle] = {}

    def register(self, replica: str, actor: ActorHandle) -> None:
        """It exists; it is followed as soon as it has its order."""
        self._actors[replica] = actor

    def watch(self, replica: str, actor: ActorHandle, node: str) -> None:
        """Follow it from now on."""
        if replica not in self._watches:
            self.register(replica, actor)
            self._watches[replica] = asyncio.create_task(self._follow(replica, actor, node))

    def actor(self, replica: str) -> ActorHandle | None:
        """The actor of a replica, unless its end has been reported."""
        return self._actors.get(replica)

    def report_lost(self, replica: str, reason: str) -> None:
        """It never came as far as to be followed, or cannot be found."""
        self._actors.pop(replica, None)
        self._emit({"event": "lost", "replica": replica, "reason": reason})

    async def ended(self, replica: str, timeout_s: float) -> None:
        """Wait until its end has been reported."""
        if (watch := self._watches.get(replica)) is not None:
            await asyncio.wait([watch], timeout=timeout_s)

    async def _follow(self, replica: str, actor: ActorHandle, node: str) -> None:
        try:
            while True:
                await self._report(replica, actor)
        except _Ended:
            with contextlib.suppress(TimeoutError, RayError):
                await self._cluster.end(actor)
        except RayError as error:
            self.report_lost(replica, await self._why(node, error))
        finally:
            self._watches.pop(replica, None)
            self._actors.pop(replica, None)

    async def _report(self, replica: str, actor: ActorHandle) -> None:
        seen = -1
        while True:
            try:
                update = await actor.watch.remote(seen, self._wait_s, self._files_at)
            except ActorUnavailableError:  # the network; Ray says so if the actor is lost
                await asyncio.sleep(UNAVAILABLE_PAUSE_S)
                continue
            seen = update["number"]
            self._emit({"event": "update", "replica": replica, "update": update})
            if decode_update(update).phase.is_final:
                raise _Ended

    async def _why(self, node: str, error: RayError) -> str:
        """What became of a replica whose actor does not live."""
        try:
            is_alive = await self._cluster.alive(node) is not None
        except (TimeoutError, RayError):
            return f"Node {node} cannot be reached."
        if is_alive:
            return f"The process that held the replica on node {node} ended unexpectedly."
        return f"Node {node} was lost."


class _Ended(Exception):
    """The replica has said its last."""
