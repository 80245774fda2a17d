"""The models in memory: the owner of who is loaded, who is using it, and who has to leave.

Invariant: at most one replica of a model takes new requests, and a replica that is leaving is stopped
only when its requests have ended or their time is up.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio
import anyio.abc

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.spec import Endpoint, ReplicaEvent, ReplicaSpec, ReplicaState
from foundrylocal.errors import (
    FoundryLocalError,
    InsufficientMemory,
    ModelInUse,
    ModelLoading,
    ServerStartFailed,
)
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.contain import contain
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.sizes import format_bytes
from foundrylocal.lifecycle.supply import LoadOptions, Supply
from foundrylocal.settings.store import SettingsStore

log = logging.getLogger("foundrylocal.FoundryLocalService")

ON_DEMAND_TIMEOUT_S = 180.0
IDLE_CHECK_S = 5.0
FORGIVE_AFTER_S = 600.0
FAILED_LOAD_PAUSE_S = 15.0


@dataclass(eq=False)
class Member:
    """A loaded model and its use; times by the monotonic clock but for `loaded_at`, which is for people."""

    model: Model
    spec: ReplicaSpec
    endpoint: Endpoint
    last_used: float
    loaded_at: float = field(default_factory=now_s)
    in_flight: int = 0
    is_pinned: bool = False
    missed_probes: int = 0
    _idle: anyio.Event = field(default_factory=anyio.Event)

    def release(self, now: float) -> None:
        self.in_flight -= 1
        self.last_used = now
        if self.in_flight == 0:
            self._idle.set()

    async def drained(self) -> None:
        while self.in_flight:
            self._idle = anyio.Event()
            await self._idle.wait()


@dataclass
class _Misfortune:
    """Why a model is not tried now: how often it failed, until when to wait, and the reason."""

    count: int
    last: float
    until: float
    reason: str


class Fleet:
    """Loads, lends and unloads models; `run` must be running."""

    def __init__(self, launcher: Launcher, supply: Supply, settings: SettingsStore) -> None:
        self._launcher = launcher
        self._supply = supply
        self._settings = settings
        self._members: dict[str, Member] = {}
        self._leaving: set[Member] = set()
        self._loads: dict[str, Operation[Member]] = {}
        self._misfortunes: dict[str, _Misfortune] = {}
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
            or any(member.model.model_id == model.model_id for member in self._leaving)
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
    ) -> Member:
        """Load a model and make it the one that takes its requests; one that was loaded so far leaves.

        Raises InsufficientMemory, ServerStartFailed, ServerStartTimeout; then nothing of it is left.
        """
        if model.model_id in self._removing:
            raise ModelInUse(model.simple_name, "being deleted")
        self._loading.append(model.model_id)
        try:
            async with self._room:
                await self._make_room(spec, reserve_bytes)
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
        if await self._launcher.inspect(spec.id) is None and self._members.get(model.model_id) is member:
            del self._members[model.model_id]
            raise ServerStartFailed("The model's process ended as soon as it was ready.")
        if former is not None:
            self.retire(former)
        self._arrival.set()
        self._arrival = anyio.Event()
        log.info("Model loaded: %s", model.simple_name)
        return member

    async def fits_beside(self, spec: ReplicaSpec) -> bool:
        """Whether there is room for it with the pinned model staying; others would leave for it."""
        others = sum(member.spec.memory_bytes for member in self.members() if not member.is_pinned)
        return await self._launcher.capacity() + others >= spec.memory_bytes

    async def capacity(self) -> int:
        """Bytes that a model loaded on demand could take now with nobody leaving; below 0 in a shortage."""
        return await self._launcher.capacity(self._settings.current.memory_reserve_mb * 1024 * 1024)

    async def _make_room(self, spec: ReplicaSpec, reserve_bytes: int) -> None:
        while True:
            free = await self._launcher.capacity(reserve_bytes)
            if free >= spec.memory_bytes:
                return
            candidates = [
                m for m in self._members.values() if not m.is_pinned and m.model.model_id != spec.model_id
            ]
            if not candidates:
                raise InsufficientMemory(format_bytes(spec.memory_bytes), format_bytes(max(0, free)))
            oldest = min(candidates, key=lambda member: (member.in_flight > 0, member.last_used))
            log.info("Unloading %s to make room for %s", oldest.model.simple_name, spec.model_id)
            await self.unload(oldest, self._settings.current.drain_seconds)

    async def ensure(self, model: Model, own: LoadOptions | None, *, is_insistent: bool = False) -> Member:
        """The loaded member of `model`, loading it on demand; many callers share one load.

        `own` are the options of the server's own model, which is pinned. A model that failed a moment ago is
        refused with ModelLoading, unless the caller is insistent.
        """
        member = self._members.get(model.model_id)
        if member is not None:
            return member
        operation = self._loads.get(model.model_id)
        if operation is None:
            if model.model_id in self._loading:  # by a switch, with options of its own: wait for its end
                await self._load_ended.wait()
                return await self.ensure(model, own, is_insistent=is_insistent)
            if not is_insistent:
                self._refuse_while_pausing(model)
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
                member = await self.load(model, spec, ON_DEMAND_TIMEOUT_S, reserve_bytes=reserve)
                member.is_pinned = own is not None
                return member
            except FoundryLocalError as error:
                reason = error.details or error.message
                log.warning("Model %s could not be loaded: %s", model.simple_name, reason)
                if not isinstance(error, InsufficientMemory):  # to look again costs nothing: none was started
                    self._note_misfortune(model, reason, FAILED_LOAD_PAUSE_S)
                raise

        try:
            await operation.run(work, lambda member: f"Model loaded: {member.model.simple_name}")
        finally:
            self._loads.pop(model.model_id, None)

    async def arrival(self) -> None:
        """Wait until any model has been loaded; the caller bounds it."""
        await self._arrival.wait()

    def _refuse_while_pausing(self, model: Model) -> None:
        trouble = self._misfortunes.get(model.model_id)
        if trouble is None:
            return
        wait = trouble.until - anyio.current_time()
        if wait > 0:
            raise ModelLoading(model.simple_name, trouble.reason, max(1, round(wait)))

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
        if self._members.get(member.model.model_id) is member:
            del self._members[member.model.model_id]
        self._leaving.add(member)
        try:
            with anyio.move_on_after(drain_s):
                await member.drained()
        finally:
            with anyio.CancelScope(shield=True):
                await self._launcher.stop(member.spec.id)
                self._leaving.discard(member)
        log.info("Model unloaded: %s", member.model.simple_name)

    def retire(self, member: Member) -> None:
        """Let it end its requests in the background and leave."""
        if self._members.get(member.model.model_id) is member:
            del self._members[member.model.model_id]
        self._leaving.add(member)
        if self._group is not None:
            self._group.start_soon(contain, log, self.unload, member, self._settings.current.drain_seconds)

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
        self._misfortunes.clear()

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
        for member in self.members():
            if member.spec.id == event.id:
                self._lost(member, event.reason or "It ended without a word.")

    def _misfortune_count(self, model: Model) -> int:
        """How often it failed without FORGIVE_AFTER_S of good health in between."""
        before = self._misfortunes.get(model.model_id)
        return before.count if before and anyio.current_time() - before.last < FORGIVE_AFTER_S else 0

    def _note_misfortune(self, model: Model, reason: str, pause_s: float) -> None:
        now = anyio.current_time()
        count = self._misfortune_count(model) + 1
        self._misfortunes[model.model_id] = _Misfortune(count, now, now + pause_s, reason)

    def _lost(self, member: Member, reason: str) -> None:
        """A ready worker ended: note when it may be tried again, and tell."""
        del self._members[member.model.model_id]
        count = self._misfortune_count(member.model)
        delays = self._settings.current.restart_delays_seconds
        delay = delays[count] if count < len(delays) else None
        self._note_misfortune(member.model, reason, FAILED_LOAD_PAUSE_S if delay is None else delay)
        log.error("The worker of %s ended: %s", member.model.simple_name, reason)
        self.on_lost(member, reason, delay)
