"""The models in memory: one entry for each, with its replicas. The only writer of their states.

Invariant: a lease counts on exactly one replica, and only a READY one takes new leases. The states, and the steps
between them, are in `pool/entry.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import Address, Cause, ReplicaSpec
from foundrylocal.errors import ModelInUse
from foundrylocal.kit.clock import now_s
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.entry import IN_MEMORY, Entry, LoadState, Replica, State
from foundrylocal.pool.eviction import Candidate
from foundrylocal.pool.load_status import LoadStatus
from foundrylocal.wire.load_options import LoadOptions

__all__ = ["IN_MEMORY", "Entry", "LoadState", "Replica", "Roster", "State"]

_LEGAL = {
    State.LOADING: {State.READY, State.GONE},
    State.READY: {State.YIELDING, State.DRAINING, State.GONE},
    State.YIELDING: {State.READY, State.DRAINING, State.GONE},
    State.DRAINING: {State.READY, State.GONE},
    State.GONE: set(),
}


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
            raise _changing_on_disk(model)
        entry.is_blocked = True
        try:
            yield
        finally:
            entry.is_blocked = False

    def add(self, model: Model, spec: ReplicaSpec) -> Replica:
        """A new replica that is LOADING. Raises ModelInUse while the model's files change."""
        entry = self.entry(model)
        if entry.is_blocked:
            raise _changing_on_disk(model)
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
        """Count one request on a READY replica for the duration of the block."""
        replica.in_flight += 1
        replica.last_used = self._clock()
        try:
            yield
        finally:
            replica.in_flight -= 1
            replica.last_used = self._clock()
            if replica.in_flight == 0:
                replica.entry.changes.notify()


def _changing_on_disk(model: Model) -> ModelInUse:
    return ModelInUse(model.simple_name, "being changed on disk", "Try again in a moment.")
