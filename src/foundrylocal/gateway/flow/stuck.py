"""Engines that are alive and stuck: the request that holds one is ended, and its worker only if that does not help.

A request that stands still while others move is ended alone. When nothing moves, the request to blame is one with a
constraint if there is any, the newest of them: nothing else makes an engine work without end on one token. Its
constraint is refused for a while afterwards.

Invariant: a request that is not to blame and has no byte of an answer yet is sent again; no other one is repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.engine.watchdog import MIN_MEASURED_TOKENS, PERIOD_S, EngineWatchdog, Finding, batch_bound_s
from foundrylocal.errors import InternalError, InvalidRequest
from foundrylocal.gateway.limits.refused import RefusedConstraints
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.kit.contain import contain

log = logging.getLogger("foundrylocal.HealthMonitor")

# How long the engine has to make progress again once the request to blame is gone.
GRACE_S = 5.0
Kill = Callable[[str], Awaitable[None]]


class EngineStuck(InternalError):
    """The engine made no progress on this request."""

    def __init__(self) -> None:
        super().__init__()
        self.message = "The engine made no progress on this request, so the request was cancelled"
        self.details = "Simplify its grammar or schema, or send less text."


class ConstraintRefused(InvalidRequest):
    """The engine was stuck on the same constraint a while ago."""

    def __init__(self, field_name: str, wait_s: float) -> None:
        super().__init__(
            f"Invalid request: '{field_name}' recently made the engine hang",
            f"It is refused for another {max(1, round(wait_s))} s. Simplify it, then try again.",
            param=field_name,
        )


@dataclass(eq=False)
class Flight:
    """A request under way on an engine, one batch of which may take `batch_s`.

    `is_ended`: it was to blame; `is_bystander`: another one was.
    """

    request: InferenceRequest
    address: Address
    model_name: str
    batch_s: float
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_ended: bool = False
    is_bystander: bool = False


class StuckEngines:
    """Owner of the requests under way, by replica, and of the constraints that are refused."""

    def __init__(
        self, kill: Kill, *, new_watchdog: Callable[[float | None], EngineWatchdog] = EngineWatchdog
    ) -> None:
        self._kill = kill
        self._new_watchdog = new_watchdog
        self._flights: dict[str, list[Flight]] = {}
        self._watchdogs: dict[str, EngineWatchdog] = {}
        self._prompt_tokens_per_s: dict[str, float] = {}
        self._being_checked: set[str] = set()
        self._refused = RefusedConstraints()

    def check(self, request: InferenceRequest) -> None:
        """Raises ConstraintRefused for a constraint on which the model's engine was stuck."""
        constraint = request.engine.constraint
        if constraint is not None:
            wait_s = self._refused.wait_s(request.stats.model_id or "", constraint.digest)
            if wait_s:
                raise ConstraintRefused(request.body.constraint_field or "grammar", wait_s)

    @contextmanager
    def flight(self, spec: ReplicaSpec, address: Address, request: InferenceRequest) -> Iterator[Flight]:
        """A request while the engine works on it; the block is cancelled when it is to blame."""
        replica_id, name = spec.id, (request.stats.model_id or "").rpartition("/")[2]
        batch_s = batch_bound_s(spec, has_images=request.body.has_images)
        flight = Flight(request, address, name, batch_s)
        flights = self._flights.setdefault(replica_id, [])
        flights.append(flight)
        try:
            with flight.scope:
                yield flight
        finally:
            flights.remove(flight)
            self._note_speed(replica_id, request)
            if not flights:
                self._flights.pop(replica_id, None)
                if replica_id not in self._being_checked:
                    self._watchdogs.pop(replica_id, None)

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Watch the engines that are working, until cancelled."""
        task_status.started()
        async with anyio.create_task_group() as group:
            while True:
                await anyio.sleep(PERIOD_S)
                for replica_id in self._flights.keys() - self._being_checked:
                    group.start_soon(contain, log, self._check, replica_id)

    def _note_speed(self, replica_id: str, request: InferenceRequest) -> None:
        stats = request.stats
        if stats.prefill_s and stats.prefill_tokens >= MIN_MEASURED_TOKENS:
            tokens_per_s = stats.prefill_tokens / stats.prefill_s
            self._prompt_tokens_per_s[stats.model_id] = tokens_per_s
            if watchdog := self._watchdogs.get(replica_id):
                watchdog.tokens_per_s = tokens_per_s

    async def _check(self, replica_id: str) -> None:
        self._being_checked.add(replica_id)
        try:
            flights = self._flights.get(replica_id)
            if not flights:
                return
            watchdog = self._watchdogs.get(replica_id)
            if watchdog is None:
                speed = self._prompt_tokens_per_s.get(flights[0].request.stats.model_id)
                watchdog = self._watchdogs[replica_id] = self._new_watchdog(speed)
            address, batch_s = flights[0].address, self._batch_s(replica_id)
            finding = await watchdog.look(address, batch_s)
            # One that came meanwhile may have begun longer work than was allowed for: the next check does.
            if self._batch_s(replica_id) > batch_s:
                return
            if finding.is_engine_stuck:
                await self._free(replica_id, address, watchdog, finding)
                return
            for flight in flights:
                if flight.request.tag in finding.standing:
                    self._end(flight, finding.bound_s)
        finally:
            self._being_checked.discard(replica_id)
            if replica_id not in self._flights:
                self._watchdogs.pop(replica_id, None)

    def _batch_s(self, replica_id: str) -> float:
        return max((flight.batch_s for flight in self._flights.get(replica_id, [])), default=0.0)

    async def _free(
        self, replica_id: str, address: Address, watchdog: EngineWatchdog, finding: Finding
    ) -> None:
        flights = self._flights.get(replica_id, [])
        if not flights:
            return
        # Without a report of the slots any of them may be the one.
        suspects = [flight for flight in flights if flight.request.tag in finding.standing] or flights
        constrained = [flight for flight in suspects if flight.request.engine.constraint is not None]
        blamed = (constrained or suspects)[-1]
        self._end(blamed, finding.bound_s)
        with anyio.move_on_after(GRACE_S):
            await watchdog.wait_free(address, blamed.request.tag)
            log.warning("The engine of %s works again", blamed.model_name)
            return
        for flight in self._flights.get(replica_id, []):
            flight.is_bystander = not flight.is_ended
        log.error("The engine of %s is still stuck: replacing its worker", blamed.model_name)
        await self._kill(replica_id)

    def _end(self, flight: Flight, still_s: float) -> None:
        request = flight.request
        log.error(
            "The engine of %s made no progress for %.0f s on request %s to %s: cancelling the request",
            flight.model_name,
            still_s,
            request.id,
            request.route.path,
        )
        if request.engine.constraint is not None:
            self._refused.add(request.stats.model_id or "", request.engine.constraint.digest)
        flight.is_ended = True
        flight.scope.cancel()
