"""What the service asks of the link, one method for each command; answers are JSON objects."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import asdict
from typing import Any

from ray.actor import ActorHandle
from ray.exceptions import RayError

from foundrylocal.engine.ray.file_server import FileServer
from foundrylocal.engine.ray.link_child.cluster import Cluster
from foundrylocal.engine.ray.link_child.watcher import Watcher

BEGIN_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 10.0
END_TIMEOUT_S = 5.0
DESCRIBE_TIMEOUT_S = 5.0
# Ray's list of free memory follows a moment after an actor's end.
RELEASE_TIMEOUT_S = 2.0
RELEASE_POLL_S = 0.1


class Commands:
    """Carries out commands; each is bounded in time."""

    def __init__(self, cluster: Cluster, watcher: Watcher, files: FileServer) -> None:
        self._cluster = cluster
        self._watcher = watcher
        self._files = files
        self._made: set[str] = set()  # names of actors
        self._late: set[asyncio.Task[None]] = set()

    async def nodes(self) -> dict[str, Any]:
        """All nodes, lost ones included."""
        return {"nodes": [asdict(node) for node in await self._cluster.nodes()]}

    async def launch(
        self,
        replica: str,
        name: str,
        node: str,
        order: str,
        memory_bytes: int,
        gpus: float,
        offers: dict[str, str],
    ) -> dict[str, Any]:
        """Create an actor on the node and give it its order.

        `lost` in the answer: the node is gone. `refusal`: why the node cannot run it.
        """
        self._files.offer(offers)
        at = await self._cluster.alive(node)
        if at is None:
            return {"lost": f"Node {node} is not in the cluster."}
        self._made.add(name)
        try:
            actor = await self._cluster.create(name, at, memory_bytes, gpus)
            self._watcher.register(replica, actor)
            beginning = asyncio.ensure_future(_begin(actor, order))
            await asyncio.wait([beginning], timeout=BEGIN_TIMEOUT_S)
            if beginning.done():
                return await self._begun(replica, actor, node, beginning.result())
        except (RayError, ValueError) as error:
            return {"lost": await self._why_not(node, error)}
        if await self._cluster.alive(node) is None:
            await self._end(actor)
            return {"lost": f"Node {node} was lost."}
        # The node lives and is slow: the deadline of the load decides.
        late = asyncio.create_task(self._begin_late(replica, actor, node, beginning))
        self._late.add(late)
        late.add_done_callback(self._late.discard)
        return {}

    async def _begun(
        self, replica: str, actor: ActorHandle, node: str, answer: dict[str, Any]
    ) -> dict[str, Any]:
        if answer["refusal"]:
            await self._end(actor)
            return {"refusal": answer["refusal"]}
        self._watcher.watch(replica, actor, node)
        return {}

    async def _begin_late(
        self, replica: str, actor: ActorHandle, node: str, beginning: asyncio.Future[dict[str, Any]]
    ) -> None:
        try:
            answer = await self._begun(replica, actor, node, await beginning)
            reason = answer.get("refusal")
        except RayError as error:
            reason = await self._why_not(node, error)
        if reason:
            self._watcher.report_lost(replica, reason)

    async def _why_not(self, node: str, error: Exception) -> str:
        with contextlib.suppress(TimeoutError, RayError):
            if await self._cluster.alive(node) is None:
                return f"Node {node} was lost."
        if "No module named" in str(error):
            return f"Node {node} has no FoundryLocal, or an older one. Install the same version there."
        first_line = str(error).strip().partition("\n")[0]
        return f"Node {node} could not start the replica: {first_line}"

    async def watch(self, replica: str, name: str, node: str, offers: dict[str, str]) -> dict[str, Any]:
        """Follow a replica that an earlier link has launched; it is `lost` when it is gone."""
        self._files.offer(offers)
        actor = await self._cluster.find(name)
        if actor is None:
            self._watcher.report_lost(replica, f"The replica on node {node} ended while nobody watched it.")
        else:
            self._watcher.watch(replica, actor, node)
        return {}

    async def find(self) -> dict[str, Any]:
        """The replicas of this service that live, each with its name, its order and its newest update."""
        names = await self._cluster.names()
        found = await asyncio.gather(*(self._describe(name) for name in names))
        return {"replicas": [one for one in found if one is not None]}

    async def _describe(self, name: str) -> dict[str, Any] | None:
        try:
            actor = await self._cluster.find(name)
            if actor is None:
                return None
            facts = await asyncio.wait_for(_describe(actor), DESCRIBE_TIMEOUT_S)
        except (TimeoutError, RayError):
            return None
        return {"name": name, **facts}

    async def stop(self, replica: str, node: str, memory_bytes: int) -> dict[str, Any]:
        """End it in order, and return when its memory is free again."""
        actor = self._watcher.actor(replica)
        if actor is not None:
            before = await self._free_bytes(node)
            with contextlib.suppress(TimeoutError, RayError):
                await asyncio.wait_for(_stop(actor), STOP_TIMEOUT_S)
            await self._end(actor)
            await self._watcher.ended(replica, END_TIMEOUT_S)
            if before is not None:
                await self._wait_free(node, before + memory_bytes)
        return {}

    async def _free_bytes(self, node: str) -> int | None:
        """What Ray says that the node has free; None when it does not say."""
        with contextlib.suppress(TimeoutError, RayError):
            at = await self._cluster.alive(node)
            return at.free_bytes if at else None
        return None

    async def _wait_free(self, node: str, free_bytes: int) -> None:
        """Ray has no event for it."""
        deadline = time.monotonic() + RELEASE_TIMEOUT_S
        while time.monotonic() < deadline:
            free = await self._free_bytes(node)
            if free is None or free >= free_bytes:
                return
            await asyncio.sleep(RELEASE_POLL_S)

    async def sweep(self, known: list[str]) -> dict[str, Any]:
        """End the replicas of this service that it does not know: it or its link died while it launched them."""
        for name in set(await self._cluster.names()) - set(known) - self._made:
            actor = await self._cluster.find(name)
            if actor is not None:
                await self._end(actor)
        return {}

    async def kill(self, replica: str) -> dict[str, Any]:
        """End it at once."""
        actor = self._watcher.actor(replica)
        if actor is not None:
            await self._end(actor)
            await self._watcher.ended(replica, END_TIMEOUT_S)
        return {}

    async def _end(self, actor: ActorHandle) -> None:
        with contextlib.suppress(TimeoutError, RayError):
            await self._cluster.end(actor)


async def _begin(actor: ActorHandle, order: str) -> dict[str, Any]:
    answer: dict[str, Any] = await actor.begin.remote(order)
    return answer


async def _describe(actor: ActorHandle) -> dict[str, Any]:
    facts: dict[str, Any] = await actor.describe.remote()
    return facts


async def _stop(actor: ActorHandle) -> None:
    await actor.stop.remote()
