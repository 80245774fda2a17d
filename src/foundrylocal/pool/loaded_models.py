"""What is loaded: the roster as the rest of the program asks for it; changes nothing."""

from __future__ import annotations

from typing import NamedTuple

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.pool.cooldown import Cooldowns
from foundrylocal.pool.entry import IN_MEMORY, LoadState, Replica, State
from foundrylocal.pool.load_status import LoadStatus
from foundrylocal.pool.planner import Planner
from foundrylocal.pool.replicas import slots_of
from foundrylocal.pool.roster import Roster
from foundrylocal.wire.load_options import LoadOptions

# Its prompts are saved (2 s), and its worker gets SIGTERM (5 s), then SIGKILL.
DEPARTURE_TIMEOUT_S = 15.0


class Slots(NamedTuple):
    """Requests that a model's replicas answer at the same time, together and the largest of them."""

    total: int
    per_replica: int


class LoadedModels:
    """The part of the pool that only answers."""

    def __init__(self, roster: Roster, cooldowns: Cooldowns, planner: Planner) -> None:
        self._roster = roster
        self._cooldowns = cooldowns
        self._planner = planner

    def get(self, model: Model) -> Replica | None:
        """A replica of the model that takes requests, the least busy one; None when none does."""
        return self._roster.entry(model).ready()

    def replicas_of(self, model: Model) -> list[Replica]:
        """Its replicas that take requests, oldest first."""
        return self._roster.entry(model).of(State.READY)

    def has_trusted(self, model: Model) -> bool:
        """Whether a replica takes its requests that has not broken a connection since it last answered."""
        return any(not replica.is_suspect for replica in self.replicas_of(model))

    def slots(self, model: Model) -> Slots:
        """How many requests its replicas answer at a time; one that is not loaded, once it is loaded on demand."""
        if ready := self.replicas_of(model):
            return Slots(slots_of(ready), max(replica.slots for replica in ready))
        asked = self._roster.entry(model).asked or LoadOptions()
        parallel = self._planner.want(model, asked).values.parallel
        return Slots(parallel, parallel)

    def load_status(self, model: Model) -> LoadStatus | None:
        """How far the model's load has come; None when no worker of it is being loaded, or others answer already."""
        entry = self._roster.entry(model)
        loading = entry.of(State.LOADING)
        return loading[-1].load_status if loading and not entry.of(State.READY) else None

    def load_state(self, model: Model) -> LoadState:
        """Whether the model is loaded, loading, failed a moment ago, or none of these."""
        state = self._roster.load_state(model)
        has_failed = state is LoadState.UNLOADED and self._cooldowns.is_cooling(model)
        return LoadState.FAILED if has_failed else state

    async def settled(self, model: Model) -> Replica | None:
        """The same once no load of the model is under way, which the load's own timeout bounds."""
        entry = self._roster.entry(model)
        await entry.changes.wait_until(lambda: entry.load is None and not entry.of(State.LOADING))
        return entry.ready()

    async def departed(self, model: Model) -> None:
        """Wait for those of its replicas that leave and have answered everything, DEPARTURE_TIMEOUT_S at most."""
        entry = self._roster.entry(model)

        def has_departed() -> bool:
            return not any(one.in_flight == 0 for one in entry.of(State.DRAINING))

        with anyio.move_on_after(DEPARTURE_TIMEOUT_S):
            await entry.changes.wait_until(has_departed)

    def replicas(self) -> list[Replica]:
        """The replicas that take requests."""
        return self._roster.replicas(State.READY)

    def loaded(self) -> list[Replica]:
        """The oldest replica that takes requests of each model that has one."""
        return [entry.of(State.READY)[0] for entry in self._roster.loaded()]

    def in_memory(self) -> list[Replica]:
        """The replicas that take requests, and those that still answer some before they leave."""
        return self._roster.replicas(*IN_MEMORY)

    def with_memory(self) -> list[Replica]:
        """All replicas that hold memory, those that are still loading included."""
        return self._roster.replicas(State.LOADING, *IN_MEMORY)
