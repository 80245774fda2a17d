"""The loaded models and their replicas: the facade that the rest of the program calls.

Each job has a module of its own: roster (who is there, in which state), loading, eviction (who makes room),
leaving, losses (crashes), cooldown, prompt_cache (saved prompts).
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import replace

import anyio
import anyio.abc

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.node import NodeStatus
from foundrylocal.engine.replica import Address, Adopted, ReplicaSpec, ReplicaStatus
from foundrylocal.errors import ModelCorrupted
from foundrylocal.kit.broadcast import Subscription
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.cooldown import Cooldowns
from foundrylocal.pool.leaving import Leaving
from foundrylocal.pool.loaded_models import LoadedModels
from foundrylocal.pool.loading import Loading
from foundrylocal.pool.losses import Losses, ReplicaLost
from foundrylocal.pool.moving import Moving
from foundrylocal.pool.plan import Plan
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.prompt_cache.prompt_cache import PromptCache
from foundrylocal.pool.replicas import pick
from foundrylocal.pool.room_claims import RoomClaims
from foundrylocal.pool.roster import Replica, Roster
from foundrylocal.pool.scaling import Scaling
from foundrylocal.pool.stay import StayRules
from foundrylocal.pool.suspects import Suspects
from foundrylocal.pool.trial import trial_replica
from foundrylocal.settings.replica_counts import ReplicaRange, range_of
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import LoadOptions
from foundrylocal.wire.presets import Preset

log = logging.getLogger("foundrylocal.FoundryLocalService")


class Pool(LoadedModels):
    """Loads, leases and unloads models; `run` must be running. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        launcher: Launcher,
        planner: Planner,
        settings: SettingsStore,
        prompts: PromptCache,
        clock: Callable[[], float] = anyio.current_time,
        chance: random.Random | None = None,
    ) -> None:
        self._launcher = launcher
        self._prompts = prompts
        self._tasks = TaskHost(log)
        stays = StayRules(planner.presets, settings)
        self._settings = settings
        self._chance = chance or random.Random()  # noqa: S311 - only spreads requests
        roster = Roster(clock, stays.is_pinned, lambda model: self.replica_range(model).least)
        super().__init__(roster, Cooldowns(clock), planner)
        self._losses = Losses(self._roster, self._cooldowns, settings)
        self._leaving = Leaving(launcher, self._roster, settings, stays, prompts, self._tasks, clock)
        self._rooms = RoomClaims(launcher, planner, settings, self._roster, self._leaving)
        self._loading = Loading(
            launcher,
            planner,
            self._roster,
            self._leaving,
            prompts,
            self._cooldowns,
            self._tasks,
            self._rooms,
        )
        self._scaling = Scaling(
            self._roster,
            self._loading,
            self._leaving,
            Moving(planner, self._roster, self._loading, self._leaving, clock),
            self._cooldowns,
            self._tasks,
            self.replica_range,
            clock,
        )
        # The jobs themselves, documented where they are done.
        self.load = self._loading.load
        self.ensure = self._loading.ensure
        self.load_with = self._loading.load_with
        self.fits_beside = self._rooms.fits_beside
        self.unload = self._leaving.unload
        self.retire = self._leaving.retire
        self.recall = self._leaving.recall
        self.want = planner.want
        self.suspect = Suspects(launcher, self._roster, self._tasks).suspect
        self.note_demand = self._scaling.note_demand
        self.expires_in_s = self._leaving.expires_in_s
        self.stay = stays.of

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hold the loads and departures under way, and hear of crashes, until cancelled."""
        self._settings.on_change(lambda settings: self._scaling.wake.set_from_thread())
        with self._launcher.events() as events:
            async with self._tasks.open():
                self._tasks.spawn(self._leaving.unload_idle)
                self._tasks.spawn(self._scaling.run)
                task_status.started()
                async for event in events:
                    self._losses.note(event)
                    self._scaling.wake.set()

    # --- what launchers and planner know ----------------------------------------------------------------

    def replica_range(self, model: Model) -> ReplicaRange:
        """How many replicas the model is to have while it is loaded."""
        return range_of(self._settings.current.replicas, (model.simple_name, model.model_id))

    async def statuses(self) -> list[ReplicaStatus]:
        """What the launcher knows of each replica: its process and its resident memory."""
        return await self._launcher.list()

    async def nodes(self) -> list[NodeStatus]:
        """The machines that run replicas. Raises ClusterUnreachable."""
        return await self._launcher.node_statuses(self._planner.reserve_bytes)

    async def adopt(self, model: Model, found: Adopted, options: LoadOptions | None) -> Replica:
        """Take over a ready replica that a service before this one launched; `options` as for a lease."""
        spec = await self._planner.reported(model, found.spec, options or LoadOptions())
        replica = self._roster.add(model, spec)
        self._roster.set_launched(replica, spec, found.node)
        self._roster.set_ready(replica, found.address)
        return replica

    async def plan(
        self,
        model: Model,
        options: LoadOptions,
        *,
        may_replace_current: bool = False,
        is_strict: bool = False,
        preset: Preset | None = None,
    ) -> Plan:
        """What loading the model with these options would take, and who would leave for it; changes nothing.

        A switch `may_replace_current`, the server's own model. Raises ModelCorrupted.
        """
        replica = self.get(model)
        plan = await self._planner.plan(
            model,
            options,
            self._roster.candidates,
            loaded=replica.spec if replica else None,
            may_replace_current=may_replace_current,
            is_strict=is_strict,
            preset=preset,
        )
        return replace(plan, node=replica.node) if replica and plan.action == "none" else plan

    async def plan_damaged(self, model: Model, options: LoadOptions, error: ModelCorrupted) -> Plan:
        """The plan for a model whose files cannot be read: it is refused, whatever memory there is."""
        return await self._planner.plan_damaged(model, options, error)

    async def arrival(self) -> None:
        """Wait until any model has become ready; the caller bounds the wait."""
        await self._roster.arrival()

    def losses(self) -> Subscription[ReplicaLost]:
        """Crashes of replicas that took requests, from now on."""
        return self._losses.events()

    # --- use --------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def lease(
        self, model: Model, options: LoadOptions | None = None, opening: bytes = b""
    ) -> AsyncIterator[Replica]:
        """A ready replica for the time of one request; `options` are those of the server's own model.

        Requests with the same `opening` go to the same replica as long as it is not much busier than others.

        Raises ModelLoading, InsufficientMemory, ServerStartFailed, ModelCorrupted, ModelNotDownloaded.
        """
        await self._loading.ensure(model, options)
        replica = pick(self.replicas_of(model), opening, self._chance)
        with self._roster.use(replica):
            yield replica

    def trial(
        self, spec: ReplicaSpec, timeout_s: float, on_progress: Callable[[float], None] | None = None
    ) -> AbstractAsyncContextManager[Address]:
        """A replica outside the pool for the time of a block: it takes no requests, and nobody leaves for it.

        Raises InsufficientMemory when it does not fit beside what is loaded, and what a load raises.
        """
        return trial_replica(self._launcher, self._rooms.launch_trial, spec, timeout_s, on_progress)

    def note_reuse(self, replica: Replica, tokens_in: int | None, tokens_cached: int | None) -> None:
        """An answer of this replica is complete: how many of its prompt's tokens came from the engine's cache."""
        self._prompts.note_reuse(replica, tokens_in, tokens_cached)

    @contextmanager
    def kept_alive(self, replica: Replica, seconds: float | None) -> Iterator[None]:
        """Keep it for so long after the block; 0 lets it leave with its last request, unless it is pinned.

        None changes nothing.
        """
        if seconds is None:
            yield
            return
        for one in replica.entry.replicas:
            self._roster.set_keep_alive(one, seconds)
        try:
            yield
        finally:
            if self.stay(replica).idle_limit_s == 0:
                self.retire_model(replica.model)

    def block_loads(self, model: Model) -> AbstractContextManager[None]:
        """Keep the model out of memory while its files change. Raises ModelInUse when it is in there."""
        return self._roster.block_loads(model)

    async def forget(self, model: Model) -> None:
        """The model's files are gone: remove its saved prompts too."""
        await self._prompts.clear(model.model_id)

    def set_current(self, model: Model | None) -> None:
        """This is the server's own model now, which never leaves for another one; None: there is none."""
        self._roster.set_current(model)

    def forget_options(self, model: Model) -> None:
        """The options that a call to load the model gave do not hold any more."""
        self._roster.set_asked(self._roster.entry(model), None)

    def clear_cooldowns(self) -> None:
        """Forget former failures: somebody starts anew."""
        self._cooldowns.clear()

    def cancel_loads(self) -> list[Operation[Replica]]:
        """Cancel the loads on demand that are under way; those that were."""
        loads = self._roster.loads()
        for load in loads:
            load.cancel()
        return loads

    def retire_model(self, model: Model) -> None:
        """Take the model out of service; its replicas leave in the background once their requests have ended."""
        entry = self._roster.entry(model)
        self._scaling.cancel(entry)
        self._leaving.retire_all(entry)

    async def unload_model(self, model: Model, drain_s: float) -> None:
        """Unload all replicas of the model; their requests have `drain_s` to end."""
        entry = self._roster.entry(model)
        self._scaling.cancel(entry)
        await self._leaving.unload_all(drain_s, entry)

    async def unload_all(self, drain_s: float) -> None:
        """Empty the memory: cancel loads, drain replicas for `drain_s` at most, end their workers."""
        self._roster.forget_options()
        for load in self.cancel_loads():
            await load.ended()
        self._scaling.cancel()
        await self._leaving.unload_all(drain_s)
