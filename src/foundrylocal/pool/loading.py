"""How a model gets into memory: a room is claimed, and when the worker there is ready it takes the requests.

Invariants: a load that fails or is cancelled leaves no worker; callers that want the same model on demand share one
load.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.launcher import Launcher
from foundrylocal.engine.replica import Address, Cause, ReplicaSpec
from foundrylocal.errors import (
    ClusterUnreachable,
    FoundryLocalError,
    InsufficientMemory,
    InvalidRequest,
    ModelInUse,
    ModelLoading,
    ModelNotDownloaded,
    NodeLost,
    NodeUnusable,
    OperationCancelled,
    ServerStartFailed,
    SystemExhausted,
)
from foundrylocal.kit.operation import Operation
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.pool.cooldown import Cooldowns
from foundrylocal.pool.leaving import Leaving
from foundrylocal.pool.load_status import LoadStatus, load_status
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.prompt_cache.prompt_cache import PromptCache
from foundrylocal.pool.room_claims import RoomClaims
from foundrylocal.pool.roster import Entry, Replica, Roster, State
from foundrylocal.wire.load_options import LoadOptions

log = logging.getLogger("foundrylocal.FoundryLocalService")

FAILED_LOAD_PAUSE_S = 15.0
MAX_NODES_TRIED = 3
# Nothing was tried, so the next try costs nothing and may end differently.
_NOT_TRIED = (
    InvalidRequest,
    InsufficientMemory,
    ModelNotDownloaded,
    ModelInUse,
    ModelLoading,
    SystemExhausted,
    ClusterUnreachable,
    NodeLost,
)


class Loading:
    """Loads models for the pool."""

    def __init__(
        self,
        launcher: Launcher,
        planner: Planner,
        roster: Roster,
        leaving: Leaving,
        prompts: PromptCache,
        cooldowns: Cooldowns,
        tasks: TaskHost,
        rooms: RoomClaims,
    ) -> None:
        self._launcher = launcher
        self._planner = planner
        self._roster = roster
        self._leaving = leaving
        self._prompts = prompts
        self._cooldowns = cooldowns
        self._tasks = tasks
        self._rooms = rooms

    # --- one load ---------------------------------------------------------------------------------------

    async def load(
        self,
        model: Model,
        spec: ReplicaSpec,
        timeout_s: float | None = None,
        *,
        on_spawned: Callable[[], None] = lambda: None,
        on_progress: Callable[[LoadStatus], None] = lambda status: None,
        may_interrupt: bool = True,
    ) -> Replica:
        """Load a model; the new replica takes its requests, and the one before it retires.

        `timeout_s` bounds the wait for the worker; without it the load may take as long as it makes progress. With
        `may_interrupt`, replicas that make room have the drain time to end their requests; without it they leave only
        if they end them in time. Raises InsufficientMemory, ServerStartFailed, ServerStartTimeout, ModelCorrupted,
        ModelInUse, ModelLoading when there is no room for now, and NodeLost or NodeUnusable when no node that has
        room can run it: when one turns out to be such, others are tried.
        """

        async def load_once(spec: ReplicaSpec) -> Replica:
            return await self._load_once(model, spec, timeout_s, on_spawned, on_progress, may_interrupt)

        replica = await self._on_some_node(load_once, spec)
        self._leaving.supersede(replica)
        log.info("Model loaded: %s", model.simple_name)
        return replica

    async def _on_some_node(
        self, load_once: Callable[[ReplicaSpec], Awaitable[Replica]], spec: ReplicaSpec
    ) -> Replica:
        """Load it, and again elsewhere when its node is lost or cannot run it: that says nothing about the model."""
        failure: NodeLost | None = None
        for _ in range(MAX_NODES_TRIED):
            try:
                return await load_once(spec)
            except NodeLost as error:
                log.warning("%s is loaded elsewhere: %s", spec.model_id, error.details)
                failure, spec = error, self._planner.spec_of_another(spec)
            except InsufficientMemory:
                if failure is None:
                    raise
                break
        assert failure is not None  # noqa: S101 - the loop ends otherwise
        raise failure

    async def _load_once(
        self,
        model: Model,
        spec: ReplicaSpec,
        timeout_s: float | None,
        on_spawned: Callable[[], None],
        on_progress: Callable[[LoadStatus], None],
        may_interrupt: bool,
    ) -> Replica:
        replica = self._roster.add(model, spec)

        async def work() -> Address:
            await self._rooms.claim(replica, spec, may_interrupt=may_interrupt)
            on_spawned()
            address = await self._wait_ready(replica, timeout_s, on_progress)
            await self._prompts.restore(replica, address)
            return address

        await self._see_through(replica, work)
        return replica

    async def load_another(self, model: Model, node: str | None = None) -> Replica:
        """One more replica of a loaded model, exactly as its others are; nobody leaves for it, nor are they replaced.

        With `node` it is loaded there or not at all.

        Raises InsufficientMemory and what a load raises, and OperationCancelled when its model is not loaded so any
        more by the time that it is ready.
        """
        entry = self._roster.entry(model)
        sibling = entry.ready()
        if sibling is None:
            raise OperationCancelled(f"Loading another replica of {model.simple_name}")
        spec = self._planner.spec_of_another(sibling.spec)
        replica = self._roster.add(model, spec)
        if sibling.keep_alive_s is not None:
            self._roster.set_keep_alive(replica, sibling.keep_alive_s)

        async def work() -> Address:
            await self._rooms.claim_free(replica, spec, node)
            address = await self._wait_ready(replica, None, lambda status: None)
            await self._prompts.restore(replica, address, replaces_others=False)
            if not _is_wanted_beside(sibling, spec):
                raise OperationCancelled(f"Loading another replica of {model.simple_name}")
            return address

        await self._see_through(replica, work)
        log.info("Replica %s is ready: %s has %d", replica.id, model.simple_name, len(entry.of(State.READY)))
        return replica

    async def _see_through(self, replica: Replica, work: Callable[[], Awaitable[Address]]) -> None:
        """Do the work of a load; the replica is READY after it, or gone without a trace."""
        try:
            address = await work()
            if replica.state is State.GONE:
                reason = replica.lost_reason or "The worker exited as soon as it was ready."
                raise ServerStartFailed(reason)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await self._launcher.kill(replica.id)
                self._roster.set_gone(replica)
            if isinstance(error, ServerStartFailed) and replica.lost_cause in (Cause.NODE, Cause.FILES):
                raise NodeUnusable(replica.node, error.details or error.message) from error
            raise
        self._roster.set_ready(replica, address)

    async def _wait_ready(
        self, replica: Replica, timeout_s: float | None, on_progress: Callable[[LoadStatus], None]
    ) -> Address:
        """Wait for its worker, keep its progress where others see it, and note how long it took."""
        spec, began = replica.spec, anyio.current_time()
        expected = self._planner.times.load(spec)

        def report(share: float) -> None:
            status = load_status(share, anyio.current_time() - began, expected)
            self._roster.set_load_status(replica, status)
            on_progress(status)

        report(0.0)
        address = await self._launcher.wait_ready(spec.id, timeout_s, report)
        self._planner.times.note_load(spec, anyio.current_time() - began)
        return address

    # --- on demand --------------------------------------------------------------------------------------

    async def ensure(
        self, model: Model, options: LoadOptions | None, *, is_insistent: bool = False
    ) -> Replica:
        """A READY replica of the model, loaded on demand; many callers share one load.

        `options` are those of the server's own model, None for others. A model that failed a moment ago is refused
        with ModelLoading, unless the caller is insistent. Raises what `load` and `Planner.plan` raise, and
        OperationCancelled when the replica has to leave as soon as it is ready: whether the model is still wanted
        is for the caller to see.
        """
        entry = self._roster.entry(model)
        while (replica := entry.ready()) is None:
            if entry.load is None and entry.of(State.YIELDING, State.LOADING):
                # It may stay, or is being loaded by a start or a switch: no second one is needed yet.
                await entry.changes.wait_until(
                    lambda: entry.ready() is not None or not entry.of(State.YIELDING, State.LOADING)
                )
                continue
            if entry.load is None and not is_insistent:
                self._cooldowns.refuse_while_cooling(model)
            await (entry.load or self._begin_load(entry, options)).result()
            if entry.ready() is None:
                raise OperationCancelled(f"Loading {model.simple_name}")
        return replica

    async def load_with(self, model: Model, options: LoadOptions, *, is_strict: bool = False) -> Replica:
        """A READY replica with these options, which hold until the model is unloaded on request.

        One that was loaded otherwise keeps its requests until the new one is ready. Raises what `load` and
        `Planner.plan` raise, and OptionNotHonored.
        """
        entry = self._roster.entry(model)
        await entry.changes.wait_until(lambda: entry.load is None and not entry.of(State.LOADING))
        ready = entry.ready()
        plan = await self._planner.plan(
            model,
            options,
            self._roster.candidates,
            loaded=ready.spec if ready else None,
            may_download=False,
            is_strict=is_strict,
        )
        plan.raise_if_refused()
        assert plan.spec is not None  # noqa: S101 - its files are there
        self._roster.set_asked(entry, options)
        if plan.action == "none" and ready is not None and ready.state is State.READY:
            return ready
        return self._leaving.recall(plan.spec) or await self.load(model, plan.spec, may_interrupt=False)

    def _begin_load(self, entry: Entry, options: LoadOptions | None) -> Operation[Replica]:
        operation: Operation[Replica] = Operation(f"Loading {entry.model.simple_name}")
        self._tasks.spawn(self._load_on_demand, entry, options, operation)
        entry.load = operation
        return operation

    async def _load_on_demand(
        self, entry: Entry, options: LoadOptions | None, operation: Operation[Replica]
    ) -> None:
        model = entry.model

        async def work() -> Replica:
            try:
                return await self._recall_or_load(model, options)
            except FoundryLocalError as error:
                reason = error.details or error.message
                log.warning("Model %s could not be loaded: %s", model.simple_name, reason)
                if not isinstance(error, _NOT_TRIED):
                    self._cooldowns.note(model, reason, FAILED_LOAD_PAUSE_S)
                raise

        try:
            await operation.run(
                work, lambda replica: f"Model loaded: {replica.model.simple_name}", _log_fault
            )
        finally:
            self._roster.load_ended(entry)

    async def _recall_or_load(self, model: Model, options: LoadOptions | None) -> Replica:
        is_own = options is not None
        asked = options or self._roster.entry(model).asked or LoadOptions()
        plan = await self._planner.plan(model, asked, self._roster.candidates, may_download=False)
        assert plan.spec is not None  # noqa: S101 - its files are there
        if (former := self._leaving.recall(plan.spec)) is not None:
            return former
        plan.raise_if_refused()
        return await self.load(model, plan.spec, may_interrupt=is_own)


def _is_wanted_beside(sibling: Replica, spec: ReplicaSpec) -> bool:
    """Whether the model is still loaded as it was when the load of another replica began."""
    others = sibling.entry.of(State.READY)
    if not others:
        return sibling.lost_reason is not None  # then it is the one that is left, else the model was unloaded
    return all(other.spec.is_like(spec) for other in others)


def _log_fault(error: Exception) -> None:
    log.error("Unexpected error while a model was loaded: %r", error, exc_info=error)
