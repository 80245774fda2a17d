"""A model in memory and its replicas: facts and waits. The roster alone changes them (`pool/roster.py`).

LOADING   -> READY | GONE              its worker answers; it failed, or its load was cancelled
READY     -> YIELDING | DRAINING | GONE  another model needs its memory; it is unloaded; its worker crashed
YIELDING  -> READY | DRAINING | GONE   its requests did not end in time; they did; its worker crashed
DRAINING  -> READY | GONE              called back; its worker ended
GONE      is final
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from foundrylocal.catalog.registry import Model
from foundrylocal.engine.replica import Address, Cause, ReplicaSpec
from foundrylocal.kit.changes import Changes
from foundrylocal.kit.operation import Operation
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
