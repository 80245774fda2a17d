"""How a replica leaves memory: drained and unloaded, retired in the background, called back, or idle for too long.

Invariant: a worker is stopped only when its requests have ended or their time is up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio

from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.prompt_cache.prompt_cache import PromptCache
from foundrylocal.pool.roster import IN_MEMORY, Entry, Replica, Roster, State
from foundrylocal.pool.stay import StayRules
from foundrylocal.settings.store import SettingsStore

log = logging.getLogger("foundrylocal.FoundryLocalService")

IDLE_CHECK_PERIOD_S = 5.0


class Leaving:
    """Decides nothing about who leaves: the callers do."""

    def __init__(
        self,
        launcher: Launcher,
        roster: Roster,
        settings: SettingsStore,
        stays: StayRules,
        prompts: PromptCache,
        tasks: TaskHost,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._launcher = launcher
        self._roster = roster
        self._settings = settings
        self._stays = stays
        self._prompts = prompts
        self._tasks = tasks
        self._clock = clock

    async def unload(self, replica: Replica, drain_s: float) -> None:
        """Take it out of service at once, wait for its requests (`drain_s` at most), save its prompts and end it."""
        if replica.state is State.GONE:
            return
        self._roster.set_draining(replica, is_recallable=False)
        try:
            with anyio.move_on_after(drain_s):
                await replica.drained()
        finally:
            with anyio.CancelScope(shield=True):
                await self._prompts.save(replica)
                await self._launcher.stop(replica.spec.id)
                self._prompts.worker_ended(replica)
                was_there = self._roster.set_gone(replica)
        if was_there:
            log.info("Model unloaded: %s", replica.model.simple_name)

    async def unload_all(self, drain_s: float, entry: Entry | None = None) -> None:
        """Unload everything in memory, or all of one model, at the same time."""
        those = entry.of(*IN_MEMORY) if entry else self._roster.replicas(*IN_MEMORY)
        async with anyio.create_task_group() as group:
            for replica in those:
                group.start_soon(self.unload, replica, drain_s)

    def retire(self, replica: Replica) -> None:
        """Take it out of service; it leaves in the background once its requests have ended."""
        if replica.state in (State.READY, State.YIELDING) and self._tasks.is_open:
            self._roster.set_draining(replica, is_recallable=True)
            self._tasks.spawn(self._unload_when_drained, replica)

    def retire_all(self, entry: Entry) -> None:
        """Retire all replicas of a model."""
        for replica in entry.of(State.READY, State.YIELDING):
            self.retire(replica)

    async def _unload_when_drained(self, replica: Replica) -> None:
        await replica.wait_until(lambda: replica.in_flight == 0 or replica.state is not State.DRAINING)
        if replica.state is State.DRAINING:
            await self.unload(replica, 0)

    def supersede(self, replica: Replica) -> None:
        """Retire the other replicas that take requests of the same model."""
        for other in replica.entry.of(State.READY):
            if other is not replica:
                self.retire(other)

    def recall(self, spec: ReplicaSpec) -> Replica | None:
        """Call back a replica that is retiring and was loaded exactly so: a second process is not needed then."""
        for replica in self._roster.replicas(State.DRAINING):
            # With its last request it is about to be unloaded, and too late to be called back.
            is_callable = replica.is_recallable and replica.in_flight > 0
            if is_callable and replica.spec.is_like(spec):
                self._roster.set_ready(replica)
                self.supersede(replica)
                return replica
        return None

    async def free_without_interrupting(self, replica: Replica) -> bool:
        """Unload it if its requests end within `drain_seconds`; else it keeps serving. Whether it left."""
        limit_s = self._settings.current.drain_seconds
        if replica.state is State.DRAINING:
            with anyio.move_on_after(limit_s):
                await replica.ended()
            return replica.is_gone
        self._roster.set_yielding(replica)
        try:
            with anyio.move_on_after(limit_s):
                await replica.drained()
            if replica.state is State.YIELDING and not replica.in_flight:
                await self.unload(replica, 0)
        finally:
            if replica.state is State.YIELDING:
                self._resume(replica)
        return replica.state is not State.READY

    def _resume(self, replica: Replica) -> None:
        """Serve again, unless a load that was under way has replaced it."""
        others = replica.entry.of(State.READY)
        if all(other.spec.is_like(replica.spec) for other in others):
            self._roster.set_ready(replica)
        else:
            self.retire(replica)

    async def unload_idle(self) -> None:
        """Retire models that nobody has used for as long as they may be idle, until cancelled."""
        while True:
            await anyio.sleep(IDLE_CHECK_PERIOD_S)
            for replica in self._roster.replicas(State.READY):
                limit_s = self.idle_limit_s(replica)
                if limit_s is not None and self._idle_s(replica) > limit_s:
                    log.info("Unloading %s after %d idle seconds", replica.model.simple_name, limit_s)
                    self.retire_all(replica.entry)

    def _idle_s(self, replica: Replica) -> float:
        """For how long nobody has used any replica of its model."""
        those = replica.entry.of(State.READY) or [replica]
        if any(one.in_flight for one in those):
            return 0.0
        return self._clock() - max(one.last_used for one in those)

    def idle_limit_s(self, replica: Replica) -> float | None:
        """How long it may be idle before it leaves; None when it stays."""
        return self._stays.of(replica).idle_limit_s

    def expires_in_s(self, replica: Replica) -> float | None:
        """How long it stays if nobody uses it from now on; None when that is for good."""
        limit_s = self.idle_limit_s(replica)
        return None if limit_s is None else max(0.0, limit_s - self._idle_s(replica))
