"""Engines that are stuck: who is ended, who is sent again, and what is refused afterwards."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.engine.watchdog import EngineWatchdog, Finding
from foundrylocal.gateway.dialects.base import EngineRequest
from foundrylocal.gateway.dialects.body import Body
from foundrylocal.gateway.flow.stuck import ConstraintRefused, Flight, StuckEngines
from foundrylocal.gateway.limits.constraint import Constraint, grammar_constraint
from foundrylocal.gateway.request import InferenceRequest
from foundrylocal.gateway.stats.request_stats import RequestStats
from foundrylocal.wire.load_options import EffectiveOptions
from tests.unit.gateway.dialects.all_routes import ROUTES

ADDRESS = Address("unix:///none", "", 1)
CHAT = "/v1/chat/completions"
SPEC = ReplicaSpec("replica", "maker/model", Path("m.gguf"), None, 10**8, 10**8, EffectiveOptions())
SECRET_RULE = 'root ::= "a secret rule"'


class ScriptedWatchdog(EngineWatchdog):
    """An engine of which `finding` is true, and that goes on without the request to blame or not."""

    def __init__(self, finding: Finding, *, is_freed: bool = True) -> None:
        super().__init__()
        self._finding = finding
        self._is_freed = is_freed

    async def look(self, address: Address, batch_s: float = 0.0) -> Finding:
        return self._finding

    async def wait_free(self, address: Address, tag: int) -> None:
        if not self._is_freed:
            await anyio.sleep_forever()


WELL = ScriptedWatchdog(Finding())
STUCK = ScriptedWatchdog(Finding(True))
LOST = ScriptedWatchdog(Finding(True), is_freed=False)


def request(constraint: Constraint | None = None) -> InferenceRequest:
    stats = RequestStats(CHAT, 0.0)
    stats.model_id = "maker/model"
    nobody: Any = None
    engine = EngineRequest(CHAT, b"{}", constraint)
    return InferenceRequest(ROUTES[CHAT], Body(), engine, "", stats, nobody, nobody)


async def check(
    watchdog: EngineWatchdog, *requests: InferenceRequest
) -> tuple[list[Flight], list[str], StuckEngines]:
    """Check one engine with these requests under way: their flights, and the replicas that were killed."""
    killed: list[str] = []

    async def kill(replica_id: str) -> None:
        killed.append(replica_id)

    stuck = StuckEngines(kill, new_watchdog=lambda speed: watchdog)
    flights: list[Flight] = []

    async def fly(one: InferenceRequest, task_status: anyio.abc.TaskStatus[None]) -> None:
        with stuck.flight(SPEC, ADDRESS, one) as flight:
            flights.append(flight)
            task_status.started()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        for one in requests:
            await group.start(fly, one)
        await stuck._check("replica")
        group.cancel_scope.cancel()
    return flights, killed, stuck


def test_an_engine_that_answers_is_left_alone() -> None:
    flights, killed, _ = anyio.run(check, WELL, request())
    assert not killed and not flights[0].is_ended


def test_the_request_with_a_constraint_is_ended_and_refused(caplog: pytest.LogCaptureFixture) -> None:
    guilty = request(grammar_constraint(SECRET_RULE, "grammar"))
    with caplog.at_level(logging.WARNING):
        flights, killed, stuck = anyio.run(check, STUCK, request(), guilty, request())
    assert [flight.is_ended for flight in flights] == [False, True, False]
    assert not killed and not any(flight.is_bystander for flight in flights)
    with pytest.raises(ConstraintRefused):
        stuck.check(guilty)
    stuck.check(request(grammar_constraint('root ::= "b"', "grammar")))
    stuck.check(request())
    assert guilty.id in caplog.text and CHAT in caplog.text and "model" in caplog.text
    assert "secret" not in caplog.text


def test_a_worker_that_stays_stuck_is_replaced_and_the_others_are_bystanders() -> None:
    flights, killed, _ = anyio.run(check, LOST, request(), request())
    assert killed == ["replica"]
    assert [(flight.is_ended, flight.is_bystander) for flight in flights] == [(False, True), (True, False)]


def test_a_request_that_stands_still_beside_others_is_ended_alone() -> None:
    guilty, other = request(), request(grammar_constraint(SECRET_RULE, "grammar"))
    alone = ScriptedWatchdog(Finding(False, frozenset({guilty.tag})))
    flights, killed, _ = anyio.run(check, alone, guilty, other)
    assert [flight.is_ended for flight in flights] == [True, False]
    assert not killed


def test_a_request_without_a_slot_is_not_to_blame() -> None:
    holds, waits = request(), request(grammar_constraint(SECRET_RULE, "grammar"))
    flights, _, _ = anyio.run(check, ScriptedWatchdog(Finding(True, frozenset({holds.tag}))), holds, waits)
    assert [flight.is_ended for flight in flights] == [True, False]


def test_the_speed_of_finished_prompts_reaches_the_watchdog() -> None:
    async def speeds() -> list[float | None]:
        found: list[float | None] = []

        def new_watchdog(speed: float | None) -> EngineWatchdog:
            found.append(speed)
            return WELL

        async def kill(replica_id: str) -> None:
            raise AssertionError

        stuck = StuckEngines(kill, new_watchdog=new_watchdog)
        done = request()
        with stuck.flight(SPEC, ADDRESS, done):
            done.stats.note_timings({"prompt_n": 400, "prompt_ms": 8000.0})
        with stuck.flight(replace(SPEC, id="two"), ADDRESS, request()):
            await stuck._check("two")
        return found

    assert anyio.run(speeds) == [50.0]


def test_one_that_brings_longer_work_while_the_engine_is_asked_is_not_blamed() -> None:
    killed: list[str] = []

    async def kill(replica_id: str) -> None:
        killed.append(replica_id)

    class MeanwhileWatchdog(EngineWatchdog):
        async def look(self, address: Address, batch_s: float = 0.0) -> Finding:
            enough = replace(SPEC, file_bytes=10**12)
            images.enter_context(stuck.flight(enough, ADDRESS, request()))
            return Finding(True)

    stuck = StuckEngines(kill, new_watchdog=MeanwhileWatchdog)
    images = ExitStack()

    async def look() -> bool:
        with stuck.flight(SPEC, ADDRESS, request()) as flight, images:
            await stuck._check("replica")
            return flight.is_ended

    assert not anyio.run(look)
    assert not killed
