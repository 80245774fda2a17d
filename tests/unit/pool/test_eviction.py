"""Who leaves memory for another model: every rule, and what holds for any set of replicas."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.pool.eviction import Candidate, Refusal, choose_victims


def _one(name: str, size: int, used: float = 0.0, **facts: bool) -> Candidate:
    return Candidate(name, f"model-{name}", size, used, **facts)


def _ids(outcome: tuple[Candidate, ...] | Refusal) -> list[str]:
    assert not isinstance(outcome, Refusal), outcome
    return [one.id for one in outcome]


def test_nobody_leaves_while_there_is_room() -> None:
    assert _ids(choose_victims(10, 10, [_one("a", 5)])) == []
    assert _ids(choose_victims(0, 0, [])) == []


def test_the_least_recently_used_leaves_first() -> None:
    assert _ids(choose_victims(10, 0, [_one("new", 10, 2.0), _one("old", 10, 1.0)])) == ["old"]


def test_an_idle_one_leaves_before_a_busy_one_that_was_used_longer_ago() -> None:
    busy = _one("busy", 10, 1.0, is_busy=True)
    assert _ids(choose_victims(10, 0, [busy, _one("idle", 10, 2.0)])) == ["idle"]


def test_one_that_is_leaving_is_waited_for_before_another_has_to_leave() -> None:
    leaving = _one("leaving", 10, 9.0, is_leaving=True, is_busy=True)
    assert _ids(choose_victims(10, 0, [_one("idle", 10, 1.0), leaving])) == ["leaving"]


def test_neither_the_servers_own_nor_a_pinned_one_leaves_for_another() -> None:
    assert choose_victims(10, 4, [_one("own", 10, is_current=True)]) == Refusal(10, 4)
    assert choose_victims(10, 4, [_one("pinned", 10, is_pinned=True)]) == Refusal(10, 4)


def test_a_pinned_one_leaves_for_another_replica_of_its_model() -> None:
    pinned = _one("pinned", 10, is_pinned=True)
    assert _ids(choose_victims(10, 0, [pinned], for_model_id=pinned.model_id)) == ["pinned"]


def test_one_of_the_same_model_leaves_last() -> None:
    """It would be replaced anyway, but only once the new one is ready, when there is room for both."""
    same, other = _one("same", 10, 1.0), _one("other", 10, 2.0, is_busy=True)
    for_it = {"for_model_id": same.model_id}
    assert _ids(choose_victims(10, 0, [same, other], **for_it)) == ["other"]
    assert _ids(choose_victims(20, 0, [same, other], **for_it)) == ["other", "same"]
    leaving = Candidate("leaving", same.model_id, 10, is_leaving=True)
    assert _ids(choose_victims(10, 0, [same, leaving], **for_it)) == ["leaving"]


def test_nobody_leaves_for_a_model_that_would_not_fit_anyway() -> None:
    assert choose_victims(100, 1, [_one("a", 10), _one("b", 20)]) == Refusal(100, 1)


def test_a_shortage_counts_and_is_shown_as_nothing_free() -> None:
    assert _ids(choose_victims(10, -5, [_one("a", 10, 1.0), _one("b", 10, 2.0)])) == ["a", "b"]
    assert choose_victims(10, -5, [_one("a", 10)]) == Refusal(10, 0)


def test_a_small_one_stays_when_the_large_one_after_it_is_enough() -> None:
    assert _ids(choose_victims(50, 0, [_one("small", 10, 1.0), _one("large", 60, 2.0)])) == ["large"]


_candidates = st.lists(
    st.builds(
        Candidate,
        id=st.uuids().map(str),
        model_id=st.sampled_from("abcd"),
        memory_bytes=st.integers(0, 100),
        last_used=st.integers(0, 5).map(float),
        is_current=st.booleans(),
        is_pinned=st.booleans(),
        is_busy=st.booleans(),
        is_leaving=st.booleans(),
    ),
    max_size=7,
)


@given(st.integers(0, 300), st.integers(-50, 200), _candidates, st.sampled_from([None, "a"]))
def test_for_any_replicas(
    needed: int, free: int, candidates: list[Candidate], for_model_id: str | None
) -> None:
    outcome = choose_victims(needed, free, candidates, for_model_id=for_model_id)
    may_leave = [
        one
        for one in candidates
        if one.is_leaving or not (one.is_current or (one.is_pinned and one.model_id != for_model_id))
    ]

    def rank(one: Candidate) -> tuple[bool, bool, bool, float]:
        return (not one.is_leaving, one.model_id == for_model_id, one.is_busy, one.last_used)

    is_possible = free + sum(one.memory_bytes for one in may_leave) >= needed
    if isinstance(outcome, Refusal):
        assert not is_possible
        assert outcome == Refusal(needed, max(0, free))
        return
    assert is_possible
    assert set(outcome) <= set(may_leave)
    freed = free + sum(one.memory_bytes for one in outcome)
    assert freed >= needed
    assert all(freed - one.memory_bytes < needed for one in outcome), "somebody leaves in vain"
    # Nobody of whom more is asked leaves where those before would have been enough.
    ranks = [rank(one) for one in outcome]
    assert ranks == sorted(ranks)
    if outcome:
        before = [one for one in may_leave if rank(one) < ranks[-1]]
        assert free + sum(one.memory_bytes for one in before) < needed


@given(st.integers(0, 300), st.integers(0, 100), _candidates)
def test_the_order_of_the_candidates_changes_nothing_that_matters(
    needed: int, free: int, candidates: list[Candidate]
) -> None:
    outcomes = [
        choose_victims(needed, free, permutation)
        for permutation in itertools.islice(itertools.permutations(candidates), 6)
    ]
    assert len({isinstance(outcome, Refusal) for outcome in outcomes}) == 1
