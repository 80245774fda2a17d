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
from foundrylocal.engine.spec import ReplicaEvent, ReplicaSpec, ReplicaState
from foundrylocal.errors import (
    FoundryLocalError,
    InsufficientMemory,
    ModelInUse,
    ModelLoading,
    ModelNotDownloaded,
    ServerStartFailed,
)
from foundrylocal.kit.contain import contain
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.lifecycle.member import Member
from foundrylocal.lifecycle.misfortune import Misfortunes
from foundrylocal.lifecycle.supply import LoadOptions, Supply
from foundrylocal.settings.store import SettingsStore

log = logging.getLogger("foundrylocal.FoundryLocalService")

ON_DEMAND_TIMEOUT_S = 180.0
IDLE_CHECK_S = 5.0
FAILED_LOAD_PAUSE_S = 15.0
BUSY_RETRY_AFTER_S = 5
# Nothing was tried, so to look again costs nothing and may find it otherwise.
_NOT_TRIED = (InsufficientMemory, ModelNotDownloaded, ModelInUse, ModelLoading)


class Fleet:
    """Loads, lends and unloads models; `run` must be running."""

    def __init__(self, launcher: Launcher, supply: Supply, settings: SettingsStore) -> None:
        self._launcher = launcher
        self._supply = supply
        self._settings = settings
        self._members: dict[str, Member] = {}
        self._leaving: set[Member] = set()
        self._loads: dict[str, Operation[Member]] = {}
        self._misfortunes = Misfortunes()
        self._pinned_id: str | None = None
        self._making_room: dict[str, anyio.Event] = {}
        self._loading: list[str] = []
        self._removing: set[str] = set()
        self._room = anyio.Lock()
        self._arrival = anyio.Event()
        self._load_ended = anyio.Event()
        self._group: anyio.abc.TaskGroup | None = None
        self.on_lost: Callable[[Member, str, float | None], None] = lambda member, reason, delay: None

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(contain, log, self._reap_idle)
            with self._launcher.events() as events:
                task_status.started()
                async for event in events:
                    self._hear(event)

    # --- what is loaded ---------------------------------------------------------------------------------

    def get(self, model: Model) -> Member | None:
        return self._members.get(model.model_id)

    def members(self) -> list[Member]:
        return list(self._members.values())

    @contextmanager
    def kept_out(self, model: Model) -> Iterator[None]:
        """Hold the model out of memory while its files are removed. Raises ModelInUse when it is in there."""
        is_in = (
            model.model_id in self._members
            or model.model_id in self._loads
            or model.model_id in self._loading
            or any(member.model is model for member in self._leaving)
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
    ) -> Member:
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
        member = Member(model, spec, endpoint, anyio.current_time())
        former = self._members.get(model.model_id)
        self._members[model.model_id] = member
        # From here on its end would be heard; whether it came before is asked once.
        is_there = await self._launcher.inspect(spec.id) is not None
        if not is_there or member.gone.is_set():
            if self._members.get(model.model_id) is member:
                del self._members[model.model_id]
            if former is not None and not former.has_left and not former.gone.is_set():
                self._members.setdefault(model.model_id, former)
            raise ServerStartFailed("The model's process ended as soon as it was ready.")
        self._join(member, former)
        log.info("Model loaded: %s", model.simple_name)
        return member

    def _join(self, member: Member, former: Member | None = None) -> None:
        """From now on it takes the requests of its model."""
        there = self._members.get(member.model.model_id)
        self._members[member.model.model_id] = member
        member.is_pinned = self._pinned_id == member.model.model_id
        for other in (former, there):
            if other is not None and other is not member:
                self.retire(other)
        self._arrival.set()
        self._arrival = anyio.Event()

    async def fits_beside(self, spec: ReplicaSpec) -> bool:
        """Whether there is room for it with the pinned model staying; others would leave for it."""
        others = sum(member.spec.memory_bytes for member in self.members() if not member.is_pinned)
        return await self._launcher.capacity() + others >= spec.memory_bytes

    async def capacity(self) -> int:
        """Bytes that a model loaded on demand could take now with nobody leaving; below 0 in a shortage."""
        return await self._launcher.capacity(self._settings.current.memory_reserve_mb * 1024 * 1024)

    async def _make_room(self, spec: ReplicaSpec, reserve_bytes: int, may_cut: bool) -> None:
        """Have others leave, the least recently used first; none leaves for a model that would not fit anyway."""
        while (free := await self._launcher.capacity(reserve_bytes)) < spec.memory_bytes:
            others = [
                m for m in self._members.values() if not m.is_pinned and m.model.model_id != spec.model_id
            ]
            going = [*(member for member in self._leaving if not member.gone.is_set()), *others]
            if free + sum(member.spec.memory_bytes for member in going) < spec.memory_bytes:
                raise InsufficientMemory(format_bytes(spec.memory_bytes), format_bytes(max(0, free)))
            first = min(going, key=lambda m: (not m.has_left, m.in_flight > 0, m.last_used))
            log.info("%s is to make room for %s", first.model.simple_name, spec.model_id)
            if may_cut:
                await self.unload(first, self._settings.current.drain_seconds)
            elif not await self._has_yielded(first):
                raise _busy(spec, first.model)

    async def _has_yielded(self, member: Member) -> bool:
        """Unload it when its requests end in time; else it serves on: no answer is cut short for another."""
        limit_s = self._settings.current.drain_seconds
        if member.has_left:
            with anyio.move_on_after(limit_s):
                await member.gone.wait()
            return member.gone.is_set()
        model_id = member.model.model_id
        outcome = self._making_room[model_id] = anyio.Event()
        del self._members[model_id]
        self._leaving.add(member)
        try:
            with anyio.move_on_after(limit_s):
                await member.drained()
            if not member.in_flight:
                await self.unload(member, 0)
        finally:
            if not member.has_left:
                self._leaving.discard(member)
                if model_id in self._members:  # a load that was under way took its place
                    self.retire(member)
                elif not member.gone.is_set():
                    self._members[model_id] = member
            del self._making_room[model_id]
            outcome.set()
        return self._members.get(model_id) is not member

    async def ensure(self, model: Model, own: LoadOptions | None, *, is_insistent: bool = False) -> Member:
        """The loaded member of `model`, loading it on demand; many callers share one load.

        `own` are the options of the server's own model. A model that failed a moment ago is
        refused with ModelLoading, unless the caller is insistent.
        """
        member = self._members.get(model.model_id)
        if member is not None:
            return member
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
                self._misfortunes.refuse_while_pausing(model)
            if self._group is None:
                raise ModelLoading(model.simple_name)
            operation = self._loads[model.model_id] = Operation(f"Loading {model.simple_name}")
            self._group.start_soon(self._load_on_demand, model, own, operation)
        return await operation.result()

    async def _load_on_demand(
        self, model: Model, own: LoadOptions | None, operation: Operation[Member]
    ) -> None:
        async def work() -> Member:
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
                    self._misfortunes.note(model, reason, FAILED_LOAD_PAUSE_S)
                raise

        try:
            await operation.run(work, lambda member: f"Model loaded: {member.model.simple_name}")
        finally:
            self._loads.pop(model.model_id, None)

    async def arrival(self) -> None:
        """Wait until any model has been loaded; the caller bounds it."""
        await self._arrival.wait()

    # --- lending ----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def lend(self, model: Model, own: LoadOptions | None = None) -> AsyncIterator[Member]:
        """A loaded member for the time of one request; `own` are the options of the server's own model.

        Raises ModelLoading, InsufficientMemory, ServerStartFailed, ModelCorrupted, ModelNotDownloaded.
        """
        member = await self.ensure(model, own)
        member.in_flight += 1
        member.last_used = anyio.current_time()
        try:
            yield member
        finally:
            member.release(anyio.current_time())

    def is_leaving(self, member: Member) -> bool:
        """Whether it was taken out of service on purpose, and its process is being ended."""
        return member in self._leaving

    # --- unloading --------------------------------------------------------------------------------------

    async def unload(self, member: Member, drain_s: float) -> None:
        """Take it out of service at once, wait for its requests (`drain_s` at most), and end it."""
        self._take_out(member)
        member.is_retiring = False
        try:
            with anyio.move_on_after(drain_s):
                await member.drained()
        finally:
            with anyio.CancelScope(shield=True):
                await self._launcher.stop(member.spec.id)
                is_first = not member.gone.is_set()
                self._leaving.discard(member)
                member.gone.set()
        if is_first:
            log.info("Model unloaded: %s", member.model.simple_name)

    def retire(self, member: Member) -> None:
        """Let it end its requests in the background, however long they take, and leave."""
        if not member.has_left and self._group is not None:
            self._take_out(member)
            member.is_retiring, member.retirement = True, anyio.CancelScope()
            self._group.start_soon(contain, log, self._leave_when_idle, member)

    async def _leave_when_idle(self, member: Member) -> None:
        with member.retirement:
            await member.drained()
            await self.unload(member, 0)

    def recall(self, spec: ReplicaSpec) -> Member | None:
        """One that is leaving and was loaded just so serves again: a second process of a model is not needed."""
        for member in self._leaving:
            is_it = member.is_retiring and not member.gone.is_set() and member.in_flight
            if is_it and replace(member.spec, id=spec.id) == spec:
                member.retirement.cancel()
                member.has_left = member.is_retiring = False
                self._leaving.discard(member)
                self._join(member)
                return member
        return None

    def _take_out(self, member: Member) -> None:
        """No new request goes there."""
        if self._members.get(member.model.model_id) is member:
            del self._members[member.model.model_id]
        member.has_left = True
        if not member.gone.is_set():
            self._leaving.add(member)

    def pin(self, model: Model | None) -> None:
        """This is the server's own model now: it never leaves for another one."""
        self._pinned_id = model.model_id if model is not None else None
        for member in self.members():
            member.is_pinned = member.model is model

    async def unload_all(self, drain_s: float) -> None:
        """Empty the memory: loads under way are cancelled, members drained for `drain_s` at most, then ended."""
        loads = list(self._loads.values())
        for load in loads:
            load.cancel()
        for load in loads:
            await load.ended()
        async with anyio.create_task_group() as group:
            for member in [*self._members.values(), *self._leaving]:
                group.start_soon(self.unload, member, drain_s)

    def forgive(self) -> None:
        """Forget former failures: somebody starts anew."""
        self._misfortunes.forget()

    async def _reap_idle(self) -> None:
        while True:
            await anyio.sleep(IDLE_CHECK_S)
            limit = self._settings.current.idle_unload_seconds
            now = anyio.current_time()
            for member in self.members():
                is_idle = not member.is_pinned and member.in_flight == 0 and now - member.last_used > limit
                if limit and is_idle:
                    log.info("Unloading %s after %d idle seconds", member.model.simple_name, limit)
                    self.retire(member)

    # --- losing -----------------------------------------------------------------------------------------

    def _hear(self, event: ReplicaEvent) -> None:
        if event.state is not ReplicaState.FAILED:
            return
        for member in [*self.members(), *self._leaving]:
            if member.spec.id == event.id:
                member.lost_reason = event.reason or "It ended without a word."
                member.gone.set()
                if self._members.get(member.model.model_id) is member:
                    self._lost(member, member.lost_reason)

    def _lost(self, member: Member, reason: str) -> None:
        """A ready worker ended: note when it may be tried again, and tell."""
        del self._members[member.model.model_id]
        count = self._misfortunes.count(member.model)
        delays = self._settings.current.restart_delays_seconds
        delay = delays[count] if count < len(delays) else None
        self._misfortunes.note(member.model, reason, FAILED_LOAD_PAUSE_S if delay is None else delay)
        log.error("The worker of %s ended: %s", member.model.simple_name, reason)
        self.on_lost(member, reason, delay)


def _busy(spec: ReplicaSpec, other: Model) -> ModelLoading:
    reason = f"There is no room for it while {other.simple_name} is in use. Try again later."
    return ModelLoading(spec.model_id.rpartition("/")[2], reason, BUSY_RETRY_AFTER_S)
