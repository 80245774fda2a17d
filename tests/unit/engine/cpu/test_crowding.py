"""When an engine counts as crowded, and what others use of the processor."""

from __future__ import annotations

import os

import pytest

from foundrylocal.engine.cpu.crowding import Crowding
from foundrylocal.engine.cpu.load import CpuTimes, cores_of, others_between, read_times


def crowded(*looks: tuple[float, float], spare_cores: float = 0) -> list[bool]:
    """What is said after each look of (own, others)."""
    crowding = Crowding(spare_cores)
    return [crowding.note(*look) for look in looks]


ALONE, BESIDE, IDLE, IDLE_BESIDE, BETWEEN = (1.8, 0.0), (1.0, 1.0), (0.0, 0.0), (0.0, 2.0), (1.5, 0.4)


def test_a_neighbor_that_stays_counts_and_one_that_left_does_not() -> None:
    assert crowded(ALONE, BESIDE, BESIDE, BESIDE, ALONE, ALONE) == [False, False, True, True, True, False]


def test_a_short_burst_changes_nothing() -> None:
    assert True not in crowded(ALONE, BESIDE, ALONE, BESIDE, ALONE, BESIDE, ALONE)


def test_a_load_between_the_bounds_changes_nothing() -> None:
    assert True not in crowded(*[BETWEEN] * 10)
    assert crowded(ALONE, BESIDE, BESIDE, *[BETWEEN] * 10)[2:] == [True] * 11


def test_programs_that_compute_in_turn_with_the_engine_are_no_neighbors() -> None:
    mixed = (0.9, 1.0)  # the look in which the turn changes
    assert True not in crowded(*[ALONE, mixed, IDLE_BESIDE, IDLE_BESIDE, IDLE_BESIDE, mixed, ALONE] * 3)


def test_an_idle_engine_stays_crowded_until_the_neighbor_has_left() -> None:
    assert crowded(ALONE, BESIDE, BESIDE, IDLE_BESIDE, IDLE_BESIDE)[-1] is True
    assert crowded(ALONE, BESIDE, BESIDE, IDLE, IDLE)[-1] is False


def test_an_engine_that_is_starved_is_crowded() -> None:
    assert crowded((0.1, 1.9), (0.1, 1.9), (0.1, 1.9))[-1] is True


@pytest.mark.parametrize(("others", "is_crowded"), [(4.0, False), (4.4, False), (4.6, True)])
def test_cores_that_the_engine_leaves_free_are_no_loss(others: float, is_crowded: bool) -> None:
    assert crowded(*[(4.0, others)] * 3, spare_cores=4)[-1] is is_crowded


def test_others_are_everything_but_our_own() -> None:
    before = CpuTimes(10.0, 100.0, {1: 5.0, 2: 7.0})
    after = CpuTimes(12.0, 104.0, {1: 5.5, 2: 8.0, 3: 0.5})
    assert others_between(before, after, (1, 2)) == pytest.approx((4 - 1.5) / 2)
    assert others_between(before, after, (1, 2, 3)) == pytest.approx((4 - 2.0) / 2)
    assert others_between(before, after, (1, 2, 9)) == pytest.approx((4 - 1.5) / 2)


def test_what_one_process_uses() -> None:
    before, after = CpuTimes(10.0, 0.0, {1: 5.0}), CpuTimes(12.0, 0.0, {1: 6.0, 3: 0.5})
    assert [cores_of(pid, before, after) for pid in (1, 3, 9)] == [0.5, 0.25, 0.0]


def test_counters_that_are_not_exact_never_fall_below_nothing() -> None:
    assert others_between(CpuTimes(0.0, 10.0, {1: 1.0}), CpuTimes(1.0, 11.0, {1: 2.2}), (1,)) == 0.0


def test_the_times_of_this_machine() -> None:
    times = read_times(frozenset(range(os.cpu_count() or 1)), (os.getpid(), 2**22 + 1), 1.0)
    assert times.all_s > 0
    assert list(times.by_pid_s) == [os.getpid()]
    assert read_times(frozenset(), (), 1.0).all_s == 0
