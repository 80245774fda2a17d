"""The models in memory: the owner of who is loaded, who is using it, and who has to leave.

Invariant: at most one replica of a model takes new requests, and a replica that is leaving is stopped
only when its requests have ended or their time is up.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import anyio
import anyio.abc

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import ReplicaEvent, ReplicaSpec, ReplicaState
from foundrylocal.errors import (
    FoundryLocalError,
    InsufficientMemory,
    ModelInUse,
    ModelLoading,
    ModelNotDownloaded,
    ServerStartFailed,
    SystemExhausted,
)
from foundrylocal.kit.contain import contain
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.pool.cooldown import Cooldowns
from foundrylocal.pool.roster import Replica
from foundrylocal.pool.supply import Supply
from foundrylocal.settings.store import SettingsStore
from foundrylocal.wire.load_options import LoadOptions

log = logging.getLogger("foundrylocal.FoundryLocalService")

ON_DEMAND_TIMEOUT_S = 180.0
IDLE_CHECK_S = 5.0
FAILED_LOAD_PAUSE_S = 15.0
BUSY_RETRY_AFTER_S = 5
# Nothing was tried, so to look again costs nothing and may find it otherwise.
_NOT_TRIED = (InsufficientMemory, ModelNotDownloaded, ModelInUse, ModelLoading, SystemExhausted)


class Pool:
    """Loads, lends and unloads models; `run` must be running."""

    def __init__(self, launcher: Launcher, supply: Supply, settings: SettingsStore) -> None:
        self._launcher = launcher
        self._supply = supply
        self._settings = settings
        self._replicas: dict[str, Replica] = {}
        self._leaving: set[Replica] = set()
        self._loads: dict[str, Operation[Replica]] = {}
        self._cooldowns = Cooldowns()
        self._pinned_id: str | None = None
        self._making_room: dict[str, anyio.Event] = {}
        self._loading: list[str] = []
        self._removing: set[str] = set()
        self._room = anyio.Lock()
        self._arrival = anyio.Event()
        self._load_ended = anyio.Event()
        self._group: anyio.abc.TaskGroup | None = None
        self.on_lost: Callable[[Replica, str, float | None], None] = lambda replica, reason, delay: None

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(contain, log, self._reap_idle)
            with self._launcher.events() as events:
                task_status.started()
                async for event in events:
                    self._hear(event)

    # --- what is loaded ---------------------------------------------------------------------------------

    def get(self, model: Model) -> Replica | None:
        return self._replicas.get(model.model_id)

    def replicas(self) -> list[Replica]:
        return list(self._replicas.values())

    @contextmanager
    def kept_out(self, model: Model) -> Iterator[None]:
        """Hold the model out of memory while its files are removed. Raises ModelInUse when it is in there."""
        is_in = (
            model.model_id in self._replicas
            or model.model_id in self._loads
            or model.model_id in self._loading
            or any(replica.model is model for replica in self._leaving)
        )
        if is_in:
            raise ModelInUse(model.simple_name)
        self._removing.add(model.model_id)
        try:
            yield
        finally:
            self._removing.discard(model.model_id)

    # --- loading ----------------------------------------------------------------------------------------

    async def load(
        self,
        model: Model,
        spec: ReplicaSpec,
        timeout_s: float,
        *,
        on_spawned: Callable[[], None] = lambda: None,
        on_progress: Callable[[float], None] | None = None,
        reserve_bytes: int = 0,
        may_cut: bool = True,
    ) -> Replica:
        """Load a model and make it the one that takes its requests; one that was loaded so far leaves.

        With `may_cut` those that make room have the drain time to end their requests, else all the time.
        Raises InsufficientMemory, ServerStartFailed, ServerStartTimeout, and ModelLoading when there is no
        room for now; then nothing of it is left.
        """
        if model.model_id in self._removing:
            raise ModelInUse(model.simple_name, "being deleted")
        self._loading.append(model.model_id)
        try:
            async with self._room:
                await self._make_room(spec, reserve_bytes, may_cut)
                await self._launcher.launch(spec)
            on_spawned()
            endpoint = await self._launcher.wait_ready(spec.id, timeout_s, on_progress)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._launcher.kill(spec.id)
            raise
        finally:
            self._loading.remove(model.model_id)
            self._load_ended.set()
            self._load_ended = anyio.Event()
        replica = Replica(model, spec, endpoint, anyio.current_time())
        former = self._replicas.get(model.model_id)
        self._replicas[model.model_id] = replica
        # From here on its end would be heard; whether it came before is asked once.
        is_there = await self._launcher.inspect(spec.id) is not None
        if not is_there or replica.gone.is_set():
            if self._replicas.get(model.model_id) is replica:
                del self._replicas[model.model_id]
            if former is not None and not former.has_left and not former.gone.is_set():
                self._replicas.setdefault(model.model_id, former)
            raise ServerStartFailed("The model's process ended as soon as it was ready.")
        self._join(replica, former)
        log.info("Model loaded: %s", model.simple_name)
        return replica

    def _join(self, replica: Replica, former: Replica | None = None) -> None:
        """From now on it takes the requests of its model."""
        there = self._replicas.get(replica.model.model_id)
        self._replicas[replica.model.model_id] = replica
        replica.is_pinned = self._pinned_id == replica.model.model_id
        for other in (former, there):
            if other is not None and other is not replica:
                self.retire(other)
        self._arrival.set()
        self._arrival = anyio.Event()

    async def fits_beside(self, spec: ReplicaSpec) -> bool:
        """Whether there is room for it with the pinned model staying; others would leave for it."""
        others = sum(replica.spec.memory_bytes for replica in self.replicas() if not replica.is_pinned)
        return await self._launcher.capacity() + others >= spec.memory_bytes

    async def capacity(self) -> int:
        """Bytes that a model loaded on demand could take now with nobody leaving; below 0 in a shortage."""
        return await self._launcher.capacity(self._settings.current.memory_reserve_mb * 1024 * 1024)

    async def _make_room(self, spec: ReplicaSpec, reserve_bytes: int, may_cut: bool) -> None:
        """Have others leave, the least recently used first; none leaves for a model that would not fit anyway."""
        while (free := await self._launcher.capacity(reserve_bytes)) < spec.memory_bytes:
            others = [
                m for m in self._replicas.values() if not m.is_pinned and m.model.model_id != spec.model_id
            ]
            going = [*(replica for replica in self._leaving if not replica.gone.is_set()), *others]
            if free + sum(replica.spec.memory_bytes for replica in going) < spec.memory_bytes:
                raise InsufficientMemory(format_bytes(spec.memory_bytes), format_bytes(max(0, free)))
            first = min(going, key=lambda m: (not m.has_left, m.in_flight > 0, m.last_used))
            log.info("%s is to make room for %s", first.model.simple_name, spec.model_id)
            if may_cut:
                await self.unload(first, self._settings.current.drain_seconds)
            elif not await self._has_yielded(first):
                raise _busy(spec, first.model)

    async def _has_yielded(self, replica: Replica) -> bool:
        """Unload it when its requests end in time; else it serves on: no answer is cut short for another."""
        limit_s = self._settings.current.drain_seconds
        if replica.has_left:
            with anyio.move_on_after(limit_s):
                await replica.gone.wait()
            return replica.gone.is_set()
        model_id = replica.model.model_id
        outcome = self._making_room[model_id] = anyio.Event()
        del self._replicas[model_id]
        self._leaving.add(replica)
        try:
            with anyio.move_on_after(limit_s):
                await replica.drained()
            if not replica.in_flight:
                await self.unload(replica, 0)
        finally:
            if not replica.has_left:
                self._leaving.discard(replica)
                if model_id in self._replicas:  # a load that was under way took its place
                    self.retire(replica)
                elif not replica.gone.is_set():
                    self._replicas[model_id] = replica
            del self._making_room[model_id]
            outcome.set()
        return self._replicas.get(model_id) is not replica

    async def ensure(self, model: Model, own: LoadOptions | None, *, is_insistent: bool = False) -> Replica:
        """The loaded replica of `model`, loading it on demand; many callers share one load.

        `own` are the options of the server's own model. A model that failed a moment ago is
        refused with ModelLoading, unless the caller is insistent.
        """
        replica = self._replicas.get(model.model_id)
        if replica is not None:
            return replica
        making_room = self._making_room.get(model.model_id)
        if making_room is not None:  # it may stay: nobody loads a second one
            await making_room.wait()
            return await self.ensure(model, own, is_insistent=is_insistent)
        operation = self._loads.get(model.model_id)
        if operation is None:
            if model.model_id in self._loading:  # by a switch, with options of its own: wait for its end
                await self._load_ended.wait()
                return await self.ensure(model, own, is_insistent=is_insistent)
            if not is_insistent:
                self._cooldowns.refuse_while_pausing(model)
            if self._group is None:
                raise ModelLoading(model.simple_name)
            operation = self._loads[model.model_id] = Operation(f"Loading {model.simple_name}")
            self._group.start_soon(self._load_on_demand, model, own, operation)
        return await operation.result()

    async def _load_on_demand(
        self, model: Model, own: LoadOptions | None, operation: Operation[Replica]
    ) -> None:
        async def work() -> Replica:
            reserve = 0 if own else self._settings.current.memory_reserve_mb * 1024 * 1024
            try:
                spec = await self._supply.specify(model, own or LoadOptions())
                return self.recall(spec) or await self.load(
                    model, spec, ON_DEMAND_TIMEOUT_S, reserve_bytes=reserve, may_cut=own is not None
                )
            except FoundryLocalError as error:
                reason = error.details or error.message
                log.warning("Model %s could not be loaded: %s", model.simple_name, reason)
                if not isinstance(error, _NOT_TRIED):
                    self._cooldowns.note(model, reason, FAILED_LOAD_PAUSE_S)
                raise

        try:
            await operation.run(work, lambda replica: f"Model loaded: {replica.model.simple_name}")
        finally:
            self._loads.pop(model.model_id, None)

    async def arrival(self) -> None:
        """Wait until any model has been loaded; the caller bounds it."""
        await self._arrival.wait()

    # --- lending ----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def lend(self, model: Model, own: LoadOptions | None = None) -> AsyncIterator[Replica]:
        """A loaded replica for the time of one request; `own` are the options of the server's own model.

        Raises ModelLoading, InsufficientMemory, ServerStartFailed, ModelCorrupted, ModelNotDownloaded.
        """
        replica = await self.ensure(model, own)
        replica.in_flight += 1
        replica.last_used = anyio.current_time()
        try:
            yield replica
        finally:
            replica.release(anyio.current_time())

    def is_leaving(self, replica: Replica) -> bool:
        """Whether it was taken out of service on purpose, and its process is being ended."""
        return replica in self._leaving

    # --- unloading --------------------------------------------------------------------------------------

    async def unload(self, replica: Replica, drain_s: float) -> None:
        """Take it out of service at once, wait for its requests (`drain_s` at most), and end it."""
        self._take_out(replica)
        replica.is_retiring = False
        try:
            with anyio.move_on_after(drain_s):
                await replica.drained()
        finally:
            with anyio.CancelScope(shield=True):
                await self._launcher.stop(replica.spec.id)
                is_first = not replica.gone.is_set()
                self._leaving.discard(replica)
                replica.gone.set()
        if is_first:
            log.info("Model unloaded: %s", replica.model.simple_name)

    def retire(self, replica: Replica) -> None:
        """Let it end its requests in the background, however long they take, and leave."""
        if not replica.has_left and self._group is not None:
            self._take_out(replica)
            replica.is_retiring, replica.retirement = True, anyio.CancelScope()
            self._group.start_soon(contain, log, self._leave_when_idle, replica)

    async def _leave_when_idle(self, replica: Replica) -> None:
        with replica.retirement:
            await replica.drained()
            await self.unload(replica, 0)

    def recall(self, spec: ReplicaSpec) -> Replica | None:
        """One that is leaving and was loaded just so serves again: a second process of a model is not needed."""
        for replica in self._leaving:
            is_it = replica.is_retiring and not replica.gone.is_set() and replica.in_flight
            if is_it and replace(replica.spec, id=spec.id) == spec:
                replica.retirement.cancel()
                replica.has_left = replica.is_retiring = False
                self._leaving.discard(replica)
                self._join(replica)
                return replica
        return None

    def _take_out(self, replica: Replica) -> None:
        """No new request goes there."""
        if self._replicas.get(replica.model.model_id) is replica:
            del self._replicas[replica.model.model_id]
        replica.has_left = True
        if not replica.gone.is_set():
            self._leaving.add(replica)

    def pin(self, model: Model | None) -> None:
        """This is the server's own model now: it never leaves for another one."""
        self._pinned_id = model.model_id if model is not None else None
        for replica in self.replicas():
            replica.is_pinned = replica.model is model

    async def unload_all(self, drain_s: float) -> None:
        """Empty the memory: loads under way are cancelled, replicas drained for `drain_s` at most, then ended."""
        loads = list(self._loads.values())
        for load in loads:
            load.cancel()
        for load in loads:
            await load.ended()
        async with anyio.create_task_group() as group:
            for replica in [*self._replicas.values(), *self._leaving]:
                group.start_soon(self.unload, replica, drain_s)

    def forgive(self) -> None:
        """Forget former failures: somebody starts anew."""
        self._cooldowns.forget()

    async def _reap_idle(self) -> None:
        while True:
            await anyio.sleep(IDLE_CHECK_S)
            limit = self._settings.current.idle_unload_seconds
            now = anyio.current_time()
            for replica in self.replicas():
                is_idle = not replica.is_pinned and replica.in_flight == 0 and now - replica.last_used > limit
                if limit and is_idle:
                    log.info("Unloading %s after %d idle seconds", replica.model.simple_name, limit)
                    self.retire(replica)

    # --- losing -----------------------------------------------------------------------------------------

    def _hear(self, event: ReplicaEvent) -> None:
        if event.state is not ReplicaState.FAILED:
            return
        for replica in [*self.replicas(), *self._leaving]:
            if replica.spec.id == event.id:
                replica.lost_reason = event.reason or "It ended without a word."
                replica.gone.set()
                if self._replicas.get(replica.model.model_id) is replica:
                    self._lost(replica, replica.lost_reason)

    def _lost(self, replica: Replica, reason: str) -> None:
        """A ready worker ended: note when it may be tried again, and tell."""
        del self._replicas[replica.model.model_id]
        count = self._cooldowns.count(replica.model)
        delays = self._settings.current.restart_delays_seconds
        delay = delays[count] if count < len(delays) else None
        self._cooldowns.note(replica.model, reason, FAILED_LOAD_PAUSE_S if delay is None else delay)
        log.error("The worker of %s ended: %s", replica.model.simple_name, reason)
        self.on_lost(replica, reason, delay)


def _busy(spec: ReplicaSpec, other: Model) -> ModelLoading:
    reason = f"There is no room for it while {other.simple_name} is in use. Try again later."
    return ModelLoading(spec.model_id.rpartition("/")[2], reason, BUSY_RETRY_AFTER_S)
