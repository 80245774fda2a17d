"""The choice between the replicas of a model."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from foundrylocal.pool.replicas import pick, slots_of

CHANCE = random.Random(1)


@dataclass
class One:
    id: str
    in_flight: int = 0
    slots: int = 4
    is_suspect: bool = False


def test_without_a_conversation_the_least_busy_for_its_slots_is_chosen() -> None:
    large, small = One("large", in_flight=3, slots=8), One("small", in_flight=2, slots=4)
    assert pick([small, large], b"", CHANCE) is large


def test_ties_are_broken_at_random_so_that_no_replica_is_always_first() -> None:
    those = [One("a"), One("b"), One("c")]
    chosen = Counter(pick(those, b"", CHANCE).id for _ in range(300))
    assert min(chosen[one.id] for one in those) > 50


def test_a_conversation_stays_with_its_replica_while_that_is_at_most_one_ahead() -> None:
    those = [One("a"), One("b"), One("c")]
    home = pick(those, b"Hello", CHANCE)
    for ahead, stays in ((0, True), (1, True), (2, False)):
        home.in_flight = ahead
        assert (pick(those, b"Hello", CHANCE) is home) is stays


def test_a_conversation_does_not_wait_for_its_replica_while_another_has_a_free_slot() -> None:
    those = [One("a", in_flight=3), One("b", in_flight=3)]
    home = pick([One("a"), One("b")], b"Hello", CHANCE)
    next(one for one in those if one.id == home.id).in_flight = 4
    assert pick(those, b"Hello", CHANCE).id != home.id


def test_its_second_choice_is_always_the_same_one() -> None:
    those = [One(name) for name in "abcdef"]
    home = pick(those, b"Hello", CHANCE)
    home.in_flight = 2
    assert len({pick(those, b"Hello", CHANCE).id for _ in range(20)}) == 1


def test_a_replica_that_comes_moves_only_the_conversations_that_it_gets() -> None:
    before = [One("a"), One("b"), One("c")]
    after = [*before, One("d")]
    conversations = [f"conversation {number}".encode() for number in range(400)]
    moved = [
        pick(after, one, CHANCE).id
        for one in conversations
        if pick(before, one, CHANCE) is not pick(after, one, CHANCE)
    ]
    assert set(moved) == {"d"}
    assert 50 < len(moved) < 150


def test_a_suspect_one_gets_nothing_while_another_can_answer() -> None:
    suspect, busy = One("a", is_suspect=True), One("b", in_flight=9)
    assert pick([suspect, busy], b"", CHANCE) is busy
    assert pick([suspect, busy], b"Hello", CHANCE) is busy
    assert pick([suspect], b"", CHANCE) is suspect
    assert (slots_of([suspect, busy]), slots_of([suspect])) == (4, 4)


_replicas = st.lists(
    st.builds(One, st.uuids().map(str), st.integers(0, 9), st.integers(1, 8), st.booleans()),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(_replicas, st.binary(max_size=20))
def test_for_any_replicas(those: list[One], opening: bytes) -> None:
    chosen = pick(those, opening, CHANCE)
    usable = [one for one in those if not one.is_suspect] or those
    least = min(one.in_flight / one.slots for one in usable)
    assert chosen in usable
    assert (chosen.in_flight - 1) / chosen.slots <= least, "more than one ahead"
    if any(one.in_flight < one.slots for one in usable):
        assert chosen.in_flight < chosen.slots, "it waits though another one has a free slot"
    assert opening or chosen.in_flight / chosen.slots == least
