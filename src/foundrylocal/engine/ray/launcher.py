"""The launcher of a Ray cluster: each replica is an actor on a node, reached over TCP; Ray itself is in the link.

Invariants: the service works on without the link, with the replicas that there are; every wait has a bound; a
replica that this service does not know, or that nobody renews, ends.
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread

from foundrylocal.engine.health_check import check_health
from foundrylocal.engine.launcher import MAX_KILL_S, STOPPED_BEFORE_READY
from foundrylocal.engine.local.process import KILLED
from foundrylocal.engine.node import NodeStatus
from foundrylocal.engine.ray import orders
from foundrylocal.engine.ray.adoption import Adoption
from foundrylocal.engine.ray.file_offers import FileOffers, offers_of
from foundrylocal.engine.ray.link import LINK_COMMAND, Link
from foundrylocal.engine.ray.members import Member, Members
from foundrylocal.engine.ray.node_rooms import NodeRooms
from foundrylocal.engine.ray.ordering import OrderMaker
from foundrylocal.engine.ray.orders import NodeOrder
from foundrylocal.engine.ray.suspects import UNUSABLE_S, Suspects
from foundrylocal.engine.ray.waiting import wait_settled
from foundrylocal.engine.replica import (
    Address,
    Adopted,
    Cause,
    ReplicaEvent,
    ReplicaSpec,
    ReplicaStatus,
    Room,
)
from foundrylocal.errors import (
    ClusterUnreachable,
    NodeLost,
    NodeUnusable,
    ServerStartFailed,
    WorkerCrashed,
)
from foundrylocal.kit.broadcast import Broadcast, Subscription
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.settings.store import SettingsStore

log = logging.getLogger("foundrylocal.FoundryLocalService")

LINK_TIMEOUT_S = 5.0
# The link waits 15 s for an actor's begin; what is around it takes moments.
LAUNCH_TIMEOUT_S = 45.0
STOP_TIMEOUT_S = 25.0
CLOSE_TIMEOUT_S = 20.0
FIRST_PROBE_TIMEOUT_S = 10.0
LEASE_GRACE_S = 5.0


class RayLauncher:
    """The owner of this home's replicas on the cluster.

    `link_order` tells the link which cluster it is (`make.py`); `link_environment` is what it inherits.
    """

    def __init__(
        self,
        link_order: Mapping[str, str],
        settings: SettingsStore,
        files: FileOffers,
        slot_folder: Callable[[], Path | None] = lambda: None,
        link_environment: Callable[[], Mapping[str, str]] = lambda: os.environ,
        link_command: Sequence[str] = LINK_COMMAND,
    ) -> None:
        self._orders = OrderMaker(settings, files, slot_folder)
        self._keep_s = float(settings.current.cluster_keep_seconds)
        self._events: Broadcast[ReplicaEvent] = Broadcast()
        self._members = Members(self._events.publish)
        self._suspects = Suspects()
        self._incarnations = itertools.count(1)
        self._tasks = TaskHost(log)
        self._link = Link(
            {**link_order, "keep_s": self._keep_s},
            self._on_hello,
            self._on_event,
            link_environment,
            link_command,
        )
        self._adoption = Adoption(self._link, self._members, self._next_incarnation)
        self._rooms = NodeRooms(self._link, self._members, self._suspects, settings)

    def _next_incarnation(self) -> int:
        return next(self._incarnations)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the link until cancelled; then end every replica that can be reached."""
        async with self._tasks.open(), anyio.create_task_group() as group:
            # The link ends last: ending the replicas takes it.
            link_scope = await group.start(self._hold_link)
            group.start_soon(self._watch_leases)
            task_status.started()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await self.close()
                link_scope.cancel()

    async def _hold_link(self, *, task_status: anyio.abc.TaskStatus[anyio.CancelScope]) -> None:
        with anyio.CancelScope(shield=True) as scope:
            async with anyio.create_task_group() as group:
                await group.start(self._link.run)
                task_status.started(scope)

    # --- rooms --------------------------------------------------------------------------------------------

    @property
    def link_problem(self) -> str | None:
        """Why there is no connection to the cluster; None when there is one."""
        return None if self._link.is_up else self._link.reason

    @property
    def link_pid(self) -> int | None:
        """The process that speaks to Ray."""
        return self._link.pid

    async def rooms(self, spec: ReplicaSpec | None = None, reserve_bytes: int = 0) -> list[Room]:
        return await self._rooms.rooms(spec, reserve_bytes)

    async def node_statuses(self, reserve_bytes: int = 0) -> list[NodeStatus]:
        return await self._rooms.statuses(reserve_bytes)

    # --- a replica's life ---------------------------------------------------------------------------------

    async def launch(self, spec: ReplicaSpec, node: str = "") -> str:
        if self._members.get(spec.id) is not None:
            return spec.id
        await self._link.wait_up(LINK_TIMEOUT_S)
        node = node or self._link.node
        is_own = node == self._link.node
        order = await self._orders.make(spec, node, is_own=is_own, keep_s=self._keep_s)
        offers = offers_of(order.file_sets or ())
        name = f"{spec.id}~{secrets.token_hex(4)}"
        member = Member(spec, node, name, self._next_incarnation(), offers)
        self._members.add(member)
        try:
            await self._launch(member, order)
        except BaseException:
            # An actor that was made nevertheless is unknown by now, and ended (`_on_event`, and a new link's sweep).
            self._members.discard(member)
            raise
        member.is_launched = True
        self._rooms.note_files(spec, node)
        return spec.id

    async def _launch(self, member: Member, order: NodeOrder) -> None:
        answer = await self._link.ask(
            "launch",
            LAUNCH_TIMEOUT_S,
            replica=member.spec.id,
            name=member.name,
            node=member.node,
            order=orders.encode_order(order),
            memory_bytes=member.spec.memory_bytes,
            gpus=0.0,
            offers=member.offers,
        )
        if "lost" in answer:
            log.warning("A replica could not be launched: %s", answer["lost"])
            self._suspects.add(member.node)
            raise NodeLost(member.node)
        if "refusal" in answer:
            self._suspects.add(member.node, UNUSABLE_S)
            raise NodeUnusable(member.node, str(answer["refusal"]))

    async def adopted(self) -> list[Adopted]:
        return await self._adoption.adopt()

    async def wait_ready(
        self,
        replica: str,
        timeout_s: float | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> Address:
        member = self._members.find(replica)
        if member is None:
            raise ServerStartFailed(STOPPED_BEFORE_READY)
        try:
            address = await wait_settled(member, timeout_s, on_progress)
        except NodeUnusable:
            self._suspects.add(member.node, UNUSABLE_S)
            raise
        if member.cause is Cause.FILES:
            self._suspects.add(member.node, UNUSABLE_S)
            raise NodeUnusable(member.node, member.reason or "It could not get the model's files.")
        if address is None or member.has_ended:
            raise member.failure or _failure_of(member)
        try:
            await check_health(address, FIRST_PROBE_TIMEOUT_S)
        except WorkerCrashed as error:
            reason = f"{error.details} The service has to reach every port of node {member.node}."
            raise ServerStartFailed(member.reason or reason) from None
        return address

    async def probe(self, replica: str, timeout_s: float) -> float:
        member = self._members.find(replica)
        if member is None or member.has_ended or member.address is None:
            raise WorkerCrashed((member.reason if member else None) or "The worker is not running.")
        return await check_health(member.address, timeout_s)

    async def inspect(self, replica: str) -> ReplicaStatus | None:
        member = self._members.get(replica)
        return member.status() if member else None

    async def list(self) -> list[ReplicaStatus]:
        return [member.status() for member in self._members]

    async def stop(self, replica: str) -> None:
        member = self._members.get(replica)
        if member is None:
            return
        member.is_stop_asked = True
        facts = {"node": member.node, "memory_bytes": member.spec.memory_bytes}
        try:
            await self._link.ask("stop", STOP_TIMEOUT_S, replica=replica, **facts)
        except ClusterUnreachable as error:
            log.warning("Replica %s ends when its lease is over: %s", replica, error.details)
        self._members.stopped(member)

    async def kill(self, replica: str) -> None:
        member = self._members.get(replica)
        if member is None:
            return
        member.is_kill_asked = True
        with anyio.move_on_after(MAX_KILL_S), suppress(ClusterUnreachable):
            await self._link.ask("kill", MAX_KILL_S, replica=replica)
        self._members.fail(member, KILLED, Cause.WORKER)

    def events(self) -> Subscription[ReplicaEvent]:
        return self._events.subscribe()

    async def close(self) -> None:
        with anyio.move_on_after(CLOSE_TIMEOUT_S):
            async with anyio.create_task_group() as group:
                for member in self._members:
                    group.start_soon(self.stop, member.spec.id)

    # --- what the link says -------------------------------------------------------------------------------

    def _on_hello(self) -> None:
        """A new link knows no replicas: have it follow those there are, and end those that nobody knows."""
        self._spawn(self._adoption.resume())

    def _on_event(self, event: Mapping[str, Any]) -> None:
        replica = str(event.get("replica"))
        member = self._members.get(replica)
        if event.get("event") == "update":
            update = orders.decode_update(event["update"])
            if member is not None:
                self._members.apply(replica, update)
            elif not update.phase.is_final:
                # Its launch was given up while the link was at it, and the link would renew it for ever.
                self._spawn(self._end_unknown(replica))
        elif event.get("event") == "lost" and member is not None:
            self._on_lost(member, str(event["reason"]))

    def _on_lost(self, member: Member, reason: str) -> None:
        """Its actor is gone: as this service wanted, or with its node."""
        if member.is_kill_asked:
            self._members.fail(member, KILLED, Cause.WORKER)
            return
        if not member.is_stop_asked:
            self._suspects.add(member.node)
        self._members.fail(member, reason, Cause.NODE)

    async def _end_unknown(self, replica: str) -> None:
        with suppress(ClusterUnreachable):
            await self._link.ask("kill", MAX_KILL_S, replica=replica)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            await work

        if self._tasks.is_open:
            self._tasks.spawn(run)
        else:
            work.close()

    async def _watch_leases(self) -> None:
        """Give up the replicas of a cluster that has been away for longer than their leases."""
        while True:
            await anyio.sleep(1.0)
            since = self._link.down_since
            if since is not None and anyio.current_time() - since > self._keep_s + LEASE_GRACE_S:
                for member in self._members:
                    reason = f"The cluster cannot be reached, and the lease is over: {self._link.reason}"
                    self._members.fail(member, reason, Cause.NODE)


def _failure_of(member: Member) -> ServerStartFailed | NodeLost:
    """Why it is not ready, when its node could not say."""
    if member.cause is Cause.NODE:
        return NodeLost(member.node)
    return ServerStartFailed(member.reason or STOPPED_BEFORE_READY)
