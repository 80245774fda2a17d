"""Claims the room of a load: who has to leave has left, and the worker is launched there.

Invariants: one load at a time makes room and launches, so that two are never promised the same memory, and a context
that is "auto" is settled by what is free then. Once somebody has left for a room, nobody leaves in
another one while this one can do.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

import anyio

from foundrylocal.catalog.names import simple_name
from foundrylocal.catalog.registry import Model
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.errors import InsufficientMemory, ModelLoading, NodeLost
from foundrylocal.pool.eviction import Candidate, Refusal
from foundrylocal.pool.leaving import Leaving
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.rooms import RoomPlan, has_gpu_room, no_room, plan_room
from foundrylocal.pool.roster import Replica, Roster, State
from foundrylocal.pool.trial import launch_where_free
from foundrylocal.settings.store import SettingsStore

log = logging.getLogger("foundrylocal.FoundryLocalService")

BUSY_RETRY_AFTER_S = 5
FindNode = Callable[[AbstractSet[str]], Awaitable[str]]
"""The node for a load, none of those that are lost."""


class RoomClaims:
    """The owner of the lock under which memory is checked and claimed."""

    def __init__(
        self, launcher: Launcher, planner: Planner, settings: SettingsStore, roster: Roster, leaving: Leaving
    ) -> None:
        self._launcher = launcher
        self._planner = planner
        self._settings = settings
        self._roster = roster
        self._leaving = leaving
        self._lock = anyio.Lock()

    async def claim(self, replica: Replica, spec: ReplicaSpec, *, may_interrupt: bool) -> ReplicaSpec:
        """Launch the replica in the room that the planner chooses; what it runs with.

        With `may_interrupt`, replicas that make room have the drain time to end their requests; without it they leave
        only if they end them in time. Raises InsufficientMemory, ModelLoading when there is no room for now, and what
        a launch raises.
        """
        async with self._lock:
            spec = await self._planner.settle(replica.model, spec, self._roster.candidates)
            await self._launch(replica, spec, lambda lost: self._make_room(spec, may_interrupt, lost))
        return spec

    async def claim_free(self, replica: Replica, spec: ReplicaSpec, only_node: str | None = None) -> None:
        """The same with nobody leaving for it, if need be on one node only. Raises InsufficientMemory, NodeLost."""
        async with self._lock:
            await self._launch(replica, spec, lambda lost: self._free_room(spec, lost, only_node))

    async def launch_trial(self, spec: ReplicaSpec) -> None:
        """Launch a replica that is not in the roster, with nobody leaving for it. Raises InsufficientMemory."""
        async with self._lock:
            await launch_where_free(self._launcher, self._planner.reserve_bytes, spec)

    async def fits_beside(self, model: Model, spec: ReplicaSpec) -> bool:
        """Whether it can be loaded while the server's own model stays; others may have to leave for it."""
        spec = await self._planner.settle(model, spec, self._roster.candidates)
        rooms, held = await self._planner.rooms(self._roster.candidates, spec)
        suitable = [room for room in rooms if has_gpu_room(room, spec)]
        return not isinstance(plan_room(spec.model_id, spec.memory_bytes, suitable, held), Refusal)

    async def _launch(self, replica: Replica, spec: ReplicaSpec, find_node: FindNode) -> None:
        """Launch it on the node that is found; a node that turns out to be lost is passed over."""
        lost: dict[str, NodeLost] = {}
        while True:
            try:
                node = await find_node(lost.keys())
            except InsufficientMemory as error:
                raise next(reversed(lost.values()), error) from error
            try:
                await self._launcher.launch(spec, node)
            except NodeLost as error:
                lost[node] = error
                log.warning("%s is placed elsewhere: %s", spec.model_id, error.details)
                continue
            self._roster.set_launched(replica, spec, node)
            return

    async def _make_room(self, spec: ReplicaSpec, may_interrupt: bool, lost: AbstractSet[str]) -> str:
        """See that a room has the memory; its node."""
        chosen: str | None = None
        while True:
            found = await self._plan(spec, lost, chosen)
            victim = self._roster.find(found.leaving[0].id) if found.leaving else None
            if victim is None:
                return found.node
            # Whoever leaves for this room must not have left in vain.
            chosen = found.node
            if victim.state is State.LOADING:
                # It can leave only when it is READY, after the requests that wait for it; its load bounds the wait.
                await victim.loaded()
                continue
            # One after the other: what is free is asked again, since it is never exactly what was estimated.
            log.info("Unloading %s to make room for %s", victim.model.simple_name, spec.model_id)
            if may_interrupt:
                await self._leaving.unload(victim, self._settings.current.drain_seconds)
            elif not await self._leaving.free_without_interrupting(victim):
                raise _busy(spec, victim.model)

    async def _free_room(self, spec: ReplicaSpec, lost: AbstractSet[str], only_node: str | None) -> str:
        return (await self._plan(spec, lost, may_evict=False, only_node=only_node)).node

    async def _plan(
        self,
        spec: ReplicaSpec,
        lost: AbstractSet[str],
        chosen: str | None = None,
        *,
        may_evict: bool = True,
        only_node: str | None = None,
    ) -> RoomPlan:
        """Where it goes now. While somebody has to leave, that is in the `chosen` room if it can be.

        Raises InsufficientMemory.
        """
        rooms, held = await self._planner.rooms(self._roster.candidates, spec)
        left = [
            room
            for room in rooms
            if room.node not in lost and only_node in (None, room.node) and has_gpu_room(room, spec)
        ]
        who = held if may_evict else tuple(map(_kept, held))
        found = plan_room(spec.model_id, spec.memory_bytes, left, who)
        if isinstance(found, RoomPlan) and found.leaving and chosen is not None:
            here = [room for room in left if room.node == chosen]
            same = plan_room(spec.model_id, spec.memory_bytes, here, who)
            found = same if isinstance(same, RoomPlan) else found
        if isinstance(found, Refusal):
            raise no_room(found, held, spec.model_id)
        return found


def _kept(one: Candidate) -> Candidate:
    """The same as one that does not leave."""
    return replace(one, is_current=True, is_leaving=False)


def _busy(spec: ReplicaSpec, other: Model) -> ModelLoading:
    reason = (
        f"There is not enough memory until {other.simple_name} has answered its requests. Try again later."
    )
    return ModelLoading(simple_name(spec.model_id), reason, BUSY_RETRY_AFTER_S)
