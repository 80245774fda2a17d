"""Who is stuck, by what the engine reports of its slots at passed-in times."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest

from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.engine.slots import Slot, decode_slots
from foundrylocal.engine.watchdog import (
    IMAGE_BOUND_S,
    MAX_BOUND_S,
    MAX_UNMEASURED_BOUND_S,
    MIN_BOUND_S,
    PERIOD_S,
    EngineWatchdog,
    Finding,
    batch_bound_s,
)
from foundrylocal.wire.load_options import EffectiveOptions
from tests.unit.engine.slot_reports import report

A, B = 11, 22
GB = 10**9


def spec(file_bytes: int, **facts: Any) -> ReplicaSpec:
    options = EffectiveOptions(context_size=8192, threads=2)
    return ReplicaSpec("r", "maker/model", Path("m.gguf"), None, file_bytes, file_bytes, options, **facts)


def watch(reports: Iterable[list[Slot]], speed: float | None = None) -> list[Finding]:
    """What the watchdog finds, looking every PERIOD_S."""
    clock_s = 0.0
    watchdog = EngineWatchdog(speed, now_s=lambda: clock_s)
    found: list[Finding] = []
    for slots in reports:
        found.append(watchdog.judge(slots))
        clock_s += PERIOD_S
    return found


def is_well(found: list[Finding]) -> bool:
    return not any(one.is_engine_stuck or one.standing for one in found)


def test_8000_tokens_of_prompt_on_one_busy_core_are_not_a_stuck_engine() -> None:
    """A batch of 384 tokens takes 35 s, which is 11 tokens/s; before that speed is known and after."""
    reports = [
        [report(0, A, read=384 * batch, reading=384)]
        for batch in range(21)
        for _ in range(0, 35, int(PERIOD_S))
    ]
    assert is_well(watch(reports))
    assert is_well(watch(reports, speed=11.0))


def test_others_are_answered_within_a_minute_of_an_engine_that_hangs() -> None:
    """The bound, one look, and the restart of the worker."""
    hangs = [[report(0, A, read=400, decoded=9), report(1, B, read=30, decoded=3)]] * 8
    first = next(number for number, one in enumerate(watch(hangs)) if one.is_engine_stuck)
    assert MIN_BOUND_S < first * PERIOD_S <= MIN_BOUND_S + PERIOD_S
    reads = [[report(0, A, reading=500)]] * 12
    first = next(number for number, one in enumerate(watch(reads)) if one.is_engine_stuck)
    assert first * PERIOD_S <= MAX_UNMEASURED_BOUND_S + PERIOD_S


def test_a_slow_machine_gets_the_time_of_its_batches() -> None:
    reads = [[report(0, A, reading=384)]] * 100
    first = next(number for number, one in enumerate(watch(reads, speed=8.0)) if one.is_engine_stuck)
    assert 4 * 384 / 8.0 < first * PERIOD_S <= 4 * 384 / 8.0 + PERIOD_S
    first = next(number for number, one in enumerate(watch(reads, speed=0.1)) if one.is_engine_stuck)
    assert first * PERIOD_S <= MAX_BOUND_S + PERIOD_S


def test_the_one_that_stands_still_beside_others_is_named_alone() -> None:
    reports = [[report(0, A, read=10, decoded=5), report(1, B, read=10, decoded=n)] for n in range(1, 8)]
    found = watch(reports)
    assert found[-1].standing == {A}
    assert not any(one.is_engine_stuck for one in found)


def test_one_that_stopped_first_is_not_blamed_alone_when_all_stand() -> None:
    """B began later: its token is the one that holds the engine."""
    alone = [report(0, A, read=10, decoded=5)]
    reports = [alone] + [[*alone, report(1, B, read=10)]] * 7
    found = watch(reports)
    assert all(not one.standing for one in found if not one.is_engine_stuck)
    assert found[-1].is_engine_stuck and found[-1].standing == {A, B}


def test_a_request_that_waits_for_the_prompts_of_others_is_not_stuck() -> None:
    """The first one's prompt takes 40 s, then that of a third; the second one waits for its turn all the time."""
    waits = report(1, B)
    reports = [[report(0, A, read=100 * n, reading=100), waits] for n in range(8)]
    reports += [[report(2, 33, read=100 * n, reading=100), waits] for n in range(8)]
    reports += [[report(2, 33, read=800, decoded=1), report(1, B, reading=50)]]
    assert is_well(watch(reports))


def test_the_others_are_watched_anew_once_the_engine_let_go_of_a_request() -> None:
    clock_s = 0.0
    others = [report(0, A, read=10, decoded=5)]

    async def report_of(address: Address) -> list[Slot]:
        return others

    watchdog = EngineWatchdog(now_s=lambda: clock_s, read_slots=report_of)
    watchdog.judge([*others, report(1, B, read=10, decoded=1)])
    clock_s = MIN_BOUND_S + 1
    assert watchdog.judge([*others, report(1, B, read=10, decoded=1)]).is_engine_stuck
    anyio.run(watchdog.wait_free, Address("unix:///none", "", 1), B)
    clock_s += PERIOD_S
    assert not watchdog.judge(others).is_engine_stuck


def test_several_answers_are_one_request() -> None:
    reports = [[report(0, A, read=100 * n, reading=100), report(1, A), report(2, A)] for n in range(20)]
    assert is_well(watch(reports))


def test_an_engine_that_does_not_report_progress_is_left_alone() -> None:
    slots = decode_slots(b'[{"id": 0, "n_ctx": 8192, "is_processing": true, "id_task": 4}, {"id": 1}]')
    assert is_well(watch([slots] * 20))


def test_idle_slots_with_the_tag_of_an_earlier_request_are_no_request() -> None:
    assert is_well(watch([[report(0, A, read=5, is_processing=False)]] * 20))


@pytest.mark.parametrize("kind", ["is_embedding", "is_reranking"])
def test_a_whole_text_in_one_batch_is_not_taken_for_a_stuck_engine(kind: str) -> None:
    """By decision 23, two idle cores need two minutes for 8,192 tokens of a model of 0.6 GB."""
    assert batch_bound_s(spec(GB * 6 // 10, **{kind: True})) > 4 * 120


def test_a_batch_of_a_very_large_model_may_take_longer_than_the_usual_bound() -> None:
    """32 tokens of 40 GB: 32 s on two idle cores."""
    assert batch_bound_s(spec(40 * GB)) > 4 * 32 > MAX_UNMEASURED_BOUND_S


def test_a_small_model_has_the_usual_bound() -> None:
    watchdog = EngineWatchdog()
    assert watchdog.bound_s(batch_bound_s(spec(2 * GB))) == MIN_BOUND_S


def test_an_image_may_take_minutes() -> None:
    assert batch_bound_s(spec(2 * GB), has_images=True) == IMAGE_BOUND_S
