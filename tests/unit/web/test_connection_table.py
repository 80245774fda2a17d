"""The bound on a port's connections: who makes room for whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.web.connection_table import ConnectionTable, TooManyConnections


class Fake:
    """A connection that remembers whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def evict(self) -> None:
        assert not self.is_closed
        self.is_closed = True


def admitted(table: ConnectionTable, peer: str, count: int) -> list[Fake]:
    made = [Fake() for _ in range(count)]
    for one in made:
        table.admit(one, peer)
    return made


def test_the_longest_idle_connection_makes_room() -> None:
    table = ConnectionTable(3, 3)
    first, second, third = admitted(table, "a", 3)
    table.mark_busy(first)
    table.mark_idle(first)  # answered: it has been idle for the shortest time now
    (fourth,) = admitted(table, "a", 1)
    assert [one.is_closed for one in (first, second, third, fourth)] == [False, True, False, False]
    assert len(table) == 3


def test_a_busy_connection_is_never_closed_and_the_new_one_is_refused() -> None:
    table = ConnectionTable(2, 2)
    for one in admitted(table, "a", 2):
        table.mark_busy(one)
    with pytest.raises(TooManyConnections) as caught:
        table.admit(Fake(), "b")
    assert "2 connections" in str(caught.value.details) and caught.value.retry_after_s
    assert len(table) == 2


def test_one_peer_cannot_take_the_whole_port() -> None:
    table = ConnectionTable(8)
    greedy = admitted(table, "greedy", 20)
    assert sum(not one.is_closed for one in greedy) == 6
    modest = admitted(table, "modest", 2)
    assert not any(one.is_closed for one in modest)
    assert sum(not one.is_closed for one in greedy) == 6


def test_a_connection_that_ended_takes_no_room_and_may_end_twice() -> None:
    table = ConnectionTable(1, 1)
    (first,) = admitted(table, "a", 1)
    table.remove(first)
    table.remove(first)
    table.mark_idle(first)
    admitted(table, "a", 1)
    assert not first.is_closed


@given(st.lists(st.tuples(st.sampled_from(["open", "busy", "idle", "end"]), st.integers(0, 5)), max_size=80))
def test_whatever_happens_the_bounds_hold_and_no_busy_connection_is_closed(
    steps: list[tuple[str, int]],
) -> None:
    table, there, busy = ConnectionTable(4, 3), [], set()
    for what, number in steps:
        alive = [one for one in there if not one.is_closed]
        if what == "open":
            one = Fake()
            try:
                table.admit(one, f"peer{number % 2}")
                there.append(one)
            except TooManyConnections:
                assert len(busy) >= 3
        elif alive:
            one = alive[number % len(alive)]
            if what == "busy":
                table.mark_busy(one)
                busy.add(one)
            else:
                (table.mark_idle if what == "idle" else table.remove)(one)
                busy.discard(one)
                if what == "end":
                    there.remove(one)
        assert len(table) == sum(not one.is_closed for one in there) <= 4
        assert not any(one.is_closed for one in busy)
