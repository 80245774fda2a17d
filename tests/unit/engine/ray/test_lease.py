"""Leases, suspects and the progress of a load, by a clock that is passed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundrylocal.engine.ray.lease import Lease, renewal_period_s
from foundrylocal.engine.ray.members import Member
from foundrylocal.engine.ray.namespace import load_or_make_namespace
from foundrylocal.engine.ray.orders import Phase
from foundrylocal.engine.ray.suspects import LOST_S, UNUSABLE_S, Suspects
from foundrylocal.engine.ray.waiting import progress
from foundrylocal.engine.replica import ReplicaSpec
from foundrylocal.wire.load_options import EffectiveOptions


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_is_over_when_it_was_not_renewed_for_its_time() -> None:
    clock = Clock()
    lease = Lease(60, clock)
    clock.now += 60
    assert not lease.is_over
    lease.renew()
    clock.now += 60.1
    assert lease.is_over


def test_several_renewals_may_be_lost() -> None:
    assert 5 * renewal_period_s(60) < 60
    assert Lease(60).check_period_s <= 5


def test_a_suspect_node_is_trusted_again_after_its_time() -> None:
    clock = Clock()
    suspects = Suspects(clock)
    suspects.add("one")
    suspects.add("two", UNUSABLE_S)
    suspects.add("two")  # a shorter time takes nothing back
    assert "one" in suspects and "three" not in suspects
    clock.now += LOST_S
    assert "one" not in suspects and "two" in suspects
    clock.now += UNUSABLE_S - LOST_S
    assert "two" not in suspects


@pytest.mark.parametrize(
    ("phase", "share", "had_files", "expected"),
    [
        (Phase.BEGUN, 0.0, True, 0.0),
        (Phase.FILES, 0.5, False, 0.25),
        (Phase.LOADING, 0.5, True, 0.5),
        (Phase.LOADING, 0.5, False, 0.75),
    ],
)
def test_progress_counts_files_that_had_to_come(
    phase: Phase, share: float, had_files: bool, expected: float
) -> None:
    spec = ReplicaSpec("a#1", "a", Path("m"), None, 1, 1, EffectiveOptions())
    member = Member(spec, "n", "a~1", 1, {}, phase=phase, share=share)
    assert progress(member, had_files=had_files) == expected


def test_a_home_keeps_its_namespace(tmp_path: Path) -> None:
    first = load_or_make_namespace(tmp_path)
    assert load_or_make_namespace(tmp_path) == first
    (tmp_path / "cluster-namespace").write_text("../x")
    assert load_or_make_namespace(tmp_path) != first
