"""How many replicas each loaded model has: within its range of the setting `replicas`, by the rate of its requests.

By rate and not by the length of the queue: a queue says how long too few have been there, so that the models that
queue first would take all the memory. A lost replica is replaced up to the least number.

Invariants: no other model leaves for a further replica, and the first one of a model is never loaded here: a start, a
request or the recovery does that. A replica that is not needed any more leaves once it is idle. While there is
nothing to scale nothing wakes up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio

from foundrylocal.catalog.registry import Model
from foundrylocal.errors import ClusterUnreachable, FoundryLocalError, NodeLost, OperationCancelled
from foundrylocal.kit.task_host import TaskHost
from foundrylocal.kit.wake import Wake
from foundrylocal.pool.cooldown import Cooldowns
from foundrylocal.pool.leaving import Leaving
from foundrylocal.pool.loading import Loading
from foundrylocal.pool.moving import Moving
from foundrylocal.pool.roster import Entry, Roster, State
from foundrylocal.pool.spreading import is_crowded, least_needed
from foundrylocal.settings.replica_counts import ReplicaRange

log = logging.getLogger("foundrylocal.FoundryLocalService")

PERIOD_S = 1.0
SMOOTHING_S = 3.0
# Within this time, those that wait now are to be answered besides those that come.
CATCH_UP_S = 20.0
MAX_USE = 0.9
# For how long fewer replicas have to be enough before one leaves.
SCALE_DOWN_AFTER_S = 60.0
RETRY_PAUSES_S = (15.0, 30.0, 60.0, 120.0)
# How often replicas that are together on a node are looked at, and how long after a move that failed.
SPREAD_PERIOD_S = 15.0
SPREAD_RETRY_S = 120.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a model: requests that have come since the service started, those that wait now, and how long
    one usually takes."""

    arrived: int = 0
    waiting: int = 0
    usual_duration_s: float = 0.0


def replicas_needed(rate_per_s: float, waiting: int, usual_duration_s: float, slots: int) -> int:
    """How many replicas with so many slots keep up with what comes, and catch up with what waits."""
    work = (rate_per_s + waiting / CATCH_UP_S) * usual_duration_s
    return math.ceil(work / (MAX_USE * slots))


@dataclass
class _Scale:
    """What is known of one model; times by the clock of its owner."""

    demand: Demand = field(default_factory=Demand)
    rate_per_s: float = 0.0
    measured_at: float | None = None
    enough_since: float | None = None
    failures: int = 0
    retry_at: float = 0.0
    spread_at: float = 0.0  # not before
    loads: set[anyio.CancelScope] = field(default_factory=set)


Load = Callable[[Entry, _Scale], Awaitable[None]]


class Scaling:
    """The owner of the rates and of the loads of further replicas. `range_of` is the range of a model."""

    def __init__(
        self,
        roster: Roster,
        loading: Loading,
        leaving: Leaving,
        moving: Moving,
        cooldowns: Cooldowns,
        tasks: TaskHost,
        range_of: Callable[[Model], ReplicaRange],
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._roster = roster
        self._loading = loading
        self._leaving = leaving
        self._moving = moving
        self._cooldowns = cooldowns
        self._tasks = tasks
        self._range_of = range_of
        self._clock = clock
        self._scales: dict[str, _Scale] = {}
        self.wake = Wake()
        """To be set when a replica has ended or the setting has changed."""

    async def run(self) -> None:
        """See that every loaded model has the replicas that it needs, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._look_at_arrivals)
            while True:
                pauses_s = [self._look(entry) for entry in self._roster.loaded()]
                await self.wake.wait(min(pauses_s, default=math.inf))

    async def _look_at_arrivals(self) -> None:
        while True:
            await self._roster.arrival()
            self.wake.set()

    def _look(self, entry: Entry) -> float:
        """See to one model; after how long to look again if nothing happens."""
        scale = self._scale_of(entry)
        return min(self._scale(entry, scale), self._spread(entry, scale))

    def note_demand(self, demands: Mapping[str, Demand]) -> None:
        """What is asked of each model now, by model id."""
        now = self._clock()
        for model_id, demand in demands.items():
            scale = self._scales.setdefault(model_id, _Scale())
            if scale.measured_at is not None and now > scale.measured_at:
                passed_s = now - scale.measured_at
                rate = (demand.arrived - scale.demand.arrived) / passed_s
                scale.rate_per_s += (1 - math.exp(-passed_s / SMOOTHING_S)) * (rate - scale.rate_per_s)
            scale.demand, scale.measured_at = demand, now
        self.wake.set()

    def cancel(self, entry: Entry | None = None) -> None:
        """Cancel the loads of further replicas, of one model or of all: they are not wanted any more."""
        for model_id, scale in self._scales.items():
            if entry is None or entry.model.model_id == model_id:
                for load in scale.loads:
                    load.cancel()

    def _scale_of(self, entry: Entry) -> _Scale:
        return self._scales.setdefault(entry.model.model_id, _Scale())

    def _scale(self, entry: Entry, scale: _Scale) -> float:
        """Load or retire replicas; after how long to look again if nothing happens."""
        ready = entry.of(State.READY)
        wanted = self._wanted(entry, scale)
        missing = wanted - len(ready) - len(scale.loads)
        if missing > 0:
            scale.enough_since = None
            wait_s = self._wait_before_load(entry, scale)
            if not wait_s:
                for _ in range(missing):
                    self._begin_load(self._load, entry, scale)
                return math.inf  # the end of each load wakes it
            return max(PERIOD_S, wait_s)
        if wanted < len(ready):
            self._shrink(entry, scale)
            return PERIOD_S
        scale.enough_since = None
        return math.inf

    def _wait_before_load(self, entry: Entry, scale: _Scale) -> float:
        """How long no further replica is to be loaded at least; 0.0 when one may be."""
        # Another load of the model may replace its replicas.
        is_replaced = entry.load is not None or len(entry.of(State.LOADING)) > len(scale.loads)
        if is_replaced or self._cooldowns.is_cooling(entry.model):
            return PERIOD_S
        return max(0.0, scale.retry_at - self._clock())

    def _wanted(self, entry: Entry, scale: _Scale) -> int:
        least, most = self._range_of(entry.model)
        demand, slots = scale.demand, max(1, entry.of(State.READY)[0].slots)
        needed = replicas_needed(scale.rate_per_s, demand.waiting, demand.usual_duration_s, slots)
        return max(least, min(most, needed))

    def _shrink(self, entry: Entry, scale: _Scale) -> None:
        """Retire an idle replica when there has been one too many for a while; one at a time."""
        now = self._clock()
        if scale.enough_since is None:
            scale.enough_since = now
        if now - scale.enough_since < SCALE_DOWN_AFTER_S:
            return
        leaving = least_needed(entry.of(State.READY))
        if leaving is not None:
            log.info("%s needs fewer replicas: %s leaves", entry.model.simple_name, leaving.id)
            self._leaving.retire(leaving)
            scale.enough_since = None

    def _spread(self, entry: Entry, scale: _Scale) -> float:
        """Have a replica move when several are on one node; after how long to look again if nothing happens."""
        ready = entry.of(State.READY)
        if scale.loads or entry.load or entry.of(State.LOADING) or not is_crowded(ready):
            return math.inf
        wait_s = scale.spread_at - self._clock()
        if wait_s > 0:
            return wait_s
        scale.spread_at = self._clock() + SPREAD_PERIOD_S
        self._begin_load(self._move, entry, scale)
        return SPREAD_PERIOD_S

    def _begin_load(self, load: Load, entry: Entry, scale: _Scale) -> None:
        scope = anyio.CancelScope()
        scale.loads.add(scope)
        self._tasks.spawn(self._see_through, load, entry, scale, scope)

    async def _see_through(self, load: Load, entry: Entry, scale: _Scale, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await load(entry, scale)
        finally:
            scale.loads.discard(scope)
            self.wake.set()

    async def _load(self, entry: Entry, scale: _Scale) -> None:
        try:
            await self._loading.load_another(entry.model)
            scale.failures = 0
        except OperationCancelled:
            scale.retry_at = self._clock() + PERIOD_S
        except FoundryLocalError as error:
            self._note_failure(entry, scale, error)

    async def _move(self, entry: Entry, scale: _Scale) -> None:
        try:
            await self._moving.move_one(entry, lambda: self._wanted(entry, scale))
        except OperationCancelled:
            return
        except FoundryLocalError as error:
            scale.spread_at = self._clock() + SPREAD_RETRY_S
            name, reason = entry.model.simple_name, error.details or error.message
            log.warning("A replica of %s stays where it is: %s", name, reason)

    def _note_failure(self, entry: Entry, scale: _Scale, error: FoundryLocalError) -> None:
        # A node or a cluster that cannot be reached says nothing about the next try.
        is_elsewhere = isinstance(error, NodeLost | ClusterUnreachable)
        pause_s = PERIOD_S if is_elsewhere else RETRY_PAUSES_S[min(scale.failures, len(RETRY_PAUSES_S) - 1)]
        scale.retry_at = self._clock() + pause_s
        if not is_elsewhere or not scale.failures:
            name, reason = entry.model.simple_name, error.details or error.message
            log.warning("%s gets no further replica yet: %s", name, reason)
        scale.failures += 1
