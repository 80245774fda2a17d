"""The models in memory: one entry for each, with its replicas. The only writer of their states.

LOADING   -> READY | GONE              its worker answers; it failed, or its load was cancelled
READY     -> YIELDING | DRAINING | GONE  another model needs its memory; it is unloaded; its worker crashed
YIELDING  -> READY | DRAINING | GONE   its requests did not end in time; they did; its worker crashed
DRAINING  -> READY | GONE              called back; its worker ended
GONE      is final

Invariant: a lease counts on exactly one replica, and only a READY one takes new leases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import Address, Cause, ReplicaSpec
from foundrylocal.errors import ModelInUse
from foundrylocal.kit.changes import Changes
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.eviction import Candidate
from foundrylocal.pool.load_status import LoadStatus
from foundrylocal.pool.replicas import trusted
from foundrylocal.wire.load_options import LoadOptions


class State(StrEnum):
    """Where a replica stands; the table at the top of this module has the steps between them."""

    LOADING = "loading"
    READY = "ready"
    YIELDING = "yielding"
    DRAINING = "draining"
    GONE = "gone"


class LoadState(StrEnum):
    """Whether a model is in memory, as clients are told. FAILED is one that is not tried again for a moment."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    FAILED = "failed"


_LEGAL = {
    State.LOADING: {State.READY, State.GONE},
    State.READY: {State.YIELDING, State.DRAINING, State.GONE},
    State.YIELDING: {State.READY, State.DRAINING, State.GONE},
    State.DRAINING: {State.READY, State.GONE},
    State.GONE: set(),
}
IN_MEMORY = (State.READY, State.YIELDING, State.DRAINING)


@dataclass(eq=False)
class Replica:
    """One running copy of a model; `last_used` and `ready_at` by the monotonic clock, `loaded_at` since the epoch.

    `node` is where its worker runs, "" on this machine.
    A LOADING replica `is_launched` when its worker has been started and takes memory. A DRAINING one that
    `is_recallable` leaves when its last request has ended, so until then it may be called back. `lost_reason` says
    why its worker crashed, or its node was lost, which `lost_cause` tells apart; both are None for one that was ended
    on purpose. One that `is_suspect` gets requests only when no other replica can. `load_status` is how far its load
    has come, None until its worker has been started.
    `keep_alive_s` is how long it stays when nobody uses it, as the last request that said so wants it: infinite is
    for good, None is by the settings.
    """

    entry: Entry
    spec: ReplicaSpec
    last_used: float
    node: str = ""
    ready_at: float = 0.0
    loaded_at: float = 0.0
    in_flight: int = 0
    is_launched: bool = False
    is_recallable: bool = False
    is_suspect: bool = False
    lost_reason: str | None = None
    lost_cause: Cause | None = None
    load_status: LoadStatus | None = None
    keep_alive_s: float | None = None
    _state: State = State.LOADING
    _address: Address | None = None

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def model(self) -> Model:
        return self.entry.model

    @property
    def slots(self) -> int:
        """Requests that it answers at the same time."""
        return self.spec.parallel

    @property
    def state(self) -> State:
        return self._state

    @property
    def is_current(self) -> bool:
        return self.entry.is_current

    @property
    def is_leaving(self) -> bool:
        """It takes no new requests, though it may still answer those it has."""
        return self._state in (State.YIELDING, State.DRAINING)

    @property
    def is_gone(self) -> bool:
        return self._state is State.GONE

    @property
    def address(self) -> Address:
        """Where it answers; known as soon as it is READY."""
        assert self._address is not None  # noqa: S101 - set before READY
        return self._address

    async def loaded(self) -> None:
        """Wait until its load has ended, well or not; that has a time limit of its own."""
        await self.wait_until(lambda: self._state is not State.LOADING)

    async def drained(self) -> None:
        """Wait until no request uses it, or its worker has ended."""
        await self.wait_until(lambda: self.in_flight == 0 or self.is_gone)

    async def ended(self) -> None:
        """Wait until its worker has ended."""
        await self.wait_until(lambda: self.is_gone)

    async def wait_until(self, is_met: Callable[[], bool]) -> None:
        """Wait for a change of this model's replicas after which `is_met` holds; the caller bounds the wait."""
        await self.entry.changes.wait_until(is_met)


@dataclass(eq=False)
class Entry:
    """One model: its replicas that are not GONE, and the load on demand that its callers share.

    `is_current` is the server's own model, whose replicas never leave for another one. `asked` are the options that
    a call to load it gave, for its next loads too. While `is_blocked` its files are being changed, and nothing loads
    it.
    """

    model: Model
    replicas: list[Replica] = field(default_factory=list)
    load: Operation[Replica] | None = None
    is_current: bool = False
    asked: LoadOptions | None = None
    is_blocked: bool = False
    changes: Changes = field(default_factory=Changes)

    def ready(self) -> Replica | None:
        """One that takes requests: that with the fewest in flight, a suspect one only if there is no other."""
        ready = trusted(self.of(State.READY))
        return min(ready, key=lambda replica: replica.in_flight) if ready else None

    def of(self, *states: State) -> list[Replica]:
        """Its replicas in one of these states, oldest first."""
        return [replica for replica in self.replicas if replica.state in states]


class Roster:
    """All entries; every change of a replica's state or use goes through here."""

    def __init__(
        self,
        clock: Callable[[], float] = anyio.current_time,
        is_pinned: Callable[[Replica], bool] = lambda replica: False,
        least_replicas: Callable[[Model], int] = lambda model: 1,
    ) -> None:
        self._clock = clock
        self._is_pinned = is_pinned
        self._least_replicas = least_replicas
        self._entries: dict[str, Entry] = {}
        self._arrival = anyio.Event()

    # --- who is there -----------------------------------------------------------------------------------

    def entry(self, model: Model) -> Entry:
        """The model's entry, made when there is none yet."""
        entry = self._entries.get(model.model_id)
        if entry is None:
            entry = self._entries[model.model_id] = Entry(model)
        return entry

    def replicas(self, *states: State) -> list[Replica]:
        """All replicas in one of these states."""
        return [replica for entry in self._entries.values() for replica in entry.of(*states)]

    def loaded(self) -> list[Entry]:
        """The models that take requests."""
        return [entry for entry in self._entries.values() if entry.of(State.READY)]

    def load_state(self, model: Model) -> LoadState:
        """Whether the model is in memory, loading or neither; failures are not known here."""
        entry = self._entries.get(model.model_id)
        if entry is None:
            return LoadState.UNLOADED
        if entry.of(State.READY, State.YIELDING):
            return LoadState.LOADED
        is_loading = entry.load is not None or entry.of(State.LOADING)
        return LoadState.LOADING if is_loading else LoadState.UNLOADED

    def find(self, replica_id: str) -> Replica | None:
        """The replica with this id, unless it is GONE."""
        return next((one for one in self.replicas(*State) if one.spec.id == replica_id), None)

    def loads(self) -> list[Operation[Replica]]:
        """The loads on demand that are under way."""
        return [entry.load for entry in self._entries.values() if entry.load is not None]

    def candidates(self) -> list[Candidate]:
        """The replicas that have memory, as eviction sees them; one that is LOADING is busy until it is READY.

        Replicas beyond the number that their model is to have at least may leave even where the model may not.
        """
        launched = [replica for replica in self.replicas(State.LOADING) if replica.is_launched]
        surplus = {one for entry in self._entries.values() for one in self._surplus(entry)}
        return [
            Candidate(
                id=replica.spec.id,
                model_id=replica.spec.model_id,
                memory_bytes=replica.spec.memory_bytes,
                last_used=replica.last_used,
                is_current=replica.is_current and replica not in surplus,
                is_pinned=replica not in surplus and self._is_pinned(replica),
                is_busy=replica.in_flight > 0 or replica.state is State.LOADING,
                is_leaving=replica.is_leaving,
                node=replica.node,
            )
            for replica in [*self.replicas(*IN_MEMORY), *launched]
        ]

    def _surplus(self, entry: Entry) -> list[Replica]:
        """The replicas that the model has beyond the number that it is to have; the newest ones."""
        return entry.of(State.READY)[self._least_replicas(entry.model) :]

    async def arrival(self) -> None:
        """Wait until any replica has become READY; the caller bounds the wait."""
        await self._arrival.wait()

    # --- changes ----------------------------------------------------------------------------------------

    def set_current(self, model: Model | None) -> None:
        """This is the server's own model now; None: there is none."""
        for entry in self._entries.values():
            entry.is_current = False
        if model is not None:
            self.entry(model).is_current = True

    @contextmanager
    def block_loads(self, model: Model) -> Iterator[None]:
        """Keep the model out of memory while its files change. Raises ModelInUse when it is in there."""
        entry = self.entry(model)
        if entry.replicas or entry.load is not None:
            raise ModelInUse(model.simple_name)
        if entry.is_blocked:
            raise ModelInUse(model.simple_name, "being changed on disk")
        entry.is_blocked = True
        try:
            yield
        finally:
            entry.is_blocked = False

    def add(self, model: Model, spec: ReplicaSpec) -> Replica:
        """A new replica that is LOADING. Raises ModelInUse while the model's files change."""
        entry = self.entry(model)
        if entry.is_blocked:
            raise ModelInUse(model.simple_name, "being changed on disk")
        replica = Replica(entry, spec, self._clock())
        entry.replicas.append(replica)
        entry.changes.notify()
        return replica

    def set_keep_alive(self, replica: Replica, seconds: float) -> None:
        """It stays for so long after its last request, the server's own model too; infinite is for good."""
        replica.keep_alive_s = seconds

    def set_launched(self, replica: Replica, spec: ReplicaSpec, node: str = "") -> None:
        """Its worker has been started with `spec`: from now on it counts as one that has memory on the node."""
        replica.spec, replica.node, replica.is_launched = spec, node, True

    def set_load_status(self, replica: Replica, status: LoadStatus) -> None:
        """Its worker has come so far with the load."""
        replica.load_status = status

    def set_ready(self, replica: Replica, address: Address | None = None) -> None:
        """It takes requests: a new one at `address`, or one that stays after all."""
        if address is not None:
            replica._address, replica.loaded_at = address, now_s()
            replica.ready_at = replica.last_used = self._clock()
        self._move(replica, State.READY)
        arrival, self._arrival = self._arrival, anyio.Event()
        arrival.set()

    def set_yielding(self, replica: Replica) -> None:
        """It takes no new requests; it leaves if those it has end in time, else it is READY again."""
        self._move(replica, State.YIELDING)

    def set_draining(self, replica: Replica, *, is_recallable: bool) -> None:
        """It takes no new requests and leaves; one that is DRAINING for good is not made recallable again."""
        if replica.state is State.DRAINING:
            replica.is_recallable = replica.is_recallable and is_recallable
        else:
            self._move(replica, State.DRAINING)
            replica.is_recallable = is_recallable

    def set_suspect(self, replica: Replica, is_suspect: bool) -> None:
        """Its connection broke, so that it gets nothing while others can answer; or it has answered again."""
        replica.is_suspect = is_suspect
        replica.entry.changes.notify()

    def set_gone(
        self, replica: Replica, lost_reason: str | None = None, lost_cause: Cause | None = None
    ) -> bool:
        """Its worker has ended, by itself if there is a `lost_reason`; False when that was known already."""
        if replica.state is State.GONE:
            return False
        replica.lost_reason, replica.lost_cause = lost_reason, lost_cause
        replica.entry.replicas.remove(replica)
        self._move(replica, State.GONE)
        return True

    def _move(self, replica: Replica, to: State) -> None:
        if to not in _LEGAL[replica.state]:
            raise RuntimeError(f"illegal step {replica.state} -> {to} of {replica.spec.id}")
        replica._state, replica.is_recallable = to, False
        replica.entry.changes.notify()

    def set_asked(self, entry: Entry, options: LoadOptions | None) -> None:
        """Options that a call to load the model gave, for its next loads too; None: no longer."""
        entry.asked = options

    def forget_options(self) -> None:
        """No model is asked for with options of its own any more."""
        for entry in self._entries.values():
            entry.asked = None

    def load_ended(self, entry: Entry) -> None:
        """The load on demand that its callers share is over."""
        entry.load = None
        entry.changes.notify()

    @contextmanager
    def use(self, replica: Replica) -> Iterator[None]:
        """Count one request on a READY replica for the time of the block."""
        replica.in_flight += 1
        replica.last_used = self._clock()
        try:
            yield
        finally:
            replica.in_flight -= 1
            replica.last_used = self._clock()
            if replica.in_flight == 0:
                replica.entry.changes.notify()
