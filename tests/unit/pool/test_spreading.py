"""Replicas that were loaded beside each other move apart when a node returns, one at a time and only while idle."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import anyio
from hypothesis import given
from hypothesis import strategies as st

from foundrylocal.engine.replica import ReplicaSpec, Room
from foundrylocal.pool.scaling import PERIOD_S, SPREAD_PERIOD_S
from foundrylocal.pool.spreading import MIN_IDLE_S, choose_move, is_crowded, least_needed
from foundrylocal.wire.load_options import EffectiveOptions
from tests.unit.pool.rig import MB, PoolRunner, Rig

SPEC = ReplicaSpec("a#1", "a", Path("m"), None, 20, 40, EffectiveOptions())
SOON_S = MIN_IDLE_S + SPREAD_PERIOD_S + 4 * PERIOD_S


@dataclass
class Placed:
    node: str
    in_flight: int = 0
    last_used: float = 0.0
    spec: ReplicaSpec = SPEC


def target(replicas: list[Placed], *rooms: Room) -> tuple[int, str] | None:
    move = choose_move(replicas, rooms, now=MIN_IDLE_S)
    return None if move is None else (replicas.index(move.replica), move.node)


def test_the_one_that_was_unused_for_longest_moves_to_the_node_with_fewest() -> None:
    there = [Placed("a", last_used=-1), Placed("a", last_used=-2), Placed("a"), Placed("b")]
    assert target(there, Room("a", 100), Room("b", 100), Room("c", 50)) == (1, "c")
    assert target(there, Room("a", 100), Room("b", 100)) == (1, "b")
    assert target(there, Room("a", 100), Room("c", 50, has_files=False), Room("d", 40)) == (1, "d")
    assert target(there, Room("a", 100), Room("c", 50), Room("d", 60)) == (1, "d")


def test_nothing_moves_where_it_would_not_help() -> None:
    assert target([Placed("a"), Placed("b")], Room("a", 100), Room("b", 100)) is None
    assert target([Placed("a"), Placed("a"), Placed("b")], Room("a", 100), Room("b", 100)) is None
    assert target([Placed("a"), Placed("a")], Room("a", 100)) is None


def test_nothing_moves_that_is_used_or_to_a_node_without_memory_or_trust() -> None:
    pair = [Placed("a"), Placed("a")]
    assert target(pair, Room("b", 39)) is None
    assert target(pair, Room("b", 40, is_suspect=True)) is None
    assert target([Placed("a", in_flight=1), Placed("a", last_used=0.1)], Room("b", 40)) is None
    assert target([Placed("a", in_flight=1), Placed("a")], Room("b", 40)) == (1, "b")


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), min_size=1, max_size=8),
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 80), st.booleans()), unique_by=lambda one: one[0]
    ),
)
def test_moves_end_and_each_one_spreads_better(
    there: list[tuple[str, bool]], nodes: list[tuple[str, int, bool]]
) -> None:
    replicas = [Placed(node, in_flight=int(is_busy)) for node, is_busy in there]
    free = {node: free_bytes for node, free_bytes, _ in nodes}
    for _ in range(20):
        rooms = [Room(node, free[node], is_suspect=is_suspect) for node, _, is_suspect in nodes]
        move = choose_move(replicas, rooms, now=MIN_IDLE_S)
        if move is None:
            break
        before = Counter(one.node for one in replicas)
        assert before[move.replica.node] - before[move.node] >= 2
        assert not move.replica.in_flight
        assert free[move.node] >= 40
        free[move.node] -= 40
        move.replica.node = move.node
    else:
        raise AssertionError("it moves for ever")


def test_of_too_many_the_newest_idle_one_of_the_fullest_node_leaves() -> None:
    there = [Placed("a"), Placed("b"), Placed("a", in_flight=1), Placed("b"), Placed("a"), Placed("c")]
    assert least_needed(there) is there[4]
    assert least_needed([Placed("")] * 0) is None
    assert least_needed([Placed("a", in_flight=1)]) is None
    machine = [Placed(""), Placed("")]
    assert least_needed(machine) is machine[1]


def test_replicas_of_one_machine_are_never_crowded() -> None:
    assert not is_crowded([Placed(""), Placed("")])
    assert is_crowded([Placed("a"), Placed("b"), Placed("b")])


def nodes_of(rig: Rig) -> list[str]:
    return sorted(one.node for one in rig.pool.replicas_of(rig.chat))


async def lose_and_return(rig: Rig, size_mb: int = 90) -> None:
    """Both replicas on "a", since "b" was lost; "b" is there again after it."""
    rig.launcher.nodes = {"a": 90 * MB, "b": 90 * MB}
    await rig.load(rig.chat)
    await anyio.sleep(3 * PERIOD_S)
    assert nodes_of(rig) == ["a", "b"]
    rig.launcher.lose("b")
    await anyio.sleep(3 * PERIOD_S)
    assert nodes_of(rig) == ["a", "a"]
    rig.launcher.nodes["b"] = size_mb * MB


def test_one_moves_when_its_node_is_back_and_is_loaded_before_the_other_leaves(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await lose_and_return(rig)
        begun = len(rig.launcher.history)
        await anyio.sleep(SOON_S)
        assert nodes_of(rig) == ["a", "b"]
        assert [line.split()[0] for line in rig.launcher.history[begun:]] == ["launch", "stop"]
        await anyio.sleep(200)
        assert len(rig.launcher.history) == begun + 2

    on_pool(scenario, replicas=2)


def test_one_that_answers_does_not_move(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await lose_and_return(rig)
        async with rig.pool.lease(rig.chat), rig.pool.lease(rig.chat):
            await anyio.sleep(10 * SOON_S)
            assert nodes_of(rig) == ["a", "a"]
        await anyio.sleep(SOON_S)
        assert nodes_of(rig) == ["a", "b"]

    on_pool(scenario, replicas=2)


def test_nobody_leaves_for_a_move(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await lose_and_return(rig)
        other = await rig.load(rig.base, 80)
        assert other.node == "b"
        await anyio.sleep(10 * SOON_S)
        assert nodes_of(rig) == ["a", "a"]
        assert rig.ready() == {rig.chat.simple_name, rig.base.simple_name}
        await rig.pool.unload_model(rig.base, 0)
        await anyio.sleep(SOON_S)
        assert nodes_of(rig) == ["a", "b"]

    on_pool(scenario, replicas=2)


def test_a_move_that_fails_changes_nothing_and_is_tried_again_later(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await lose_and_return(rig)
        rig.launcher.dying = {"b"}
        await anyio.sleep(10 * SOON_S)
        assert nodes_of(rig) == ["a", "a"]
        rig.launcher.dying = set()
        await anyio.sleep(10 * SOON_S)
        assert nodes_of(rig) == ["a", "b"]

    on_pool(scenario, replicas=2)


def test_a_replica_that_is_lost_during_a_move_is_replaced_by_the_new_one(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await lose_and_return(rig)
        rig.launcher.behavior(rig.chat.model_id).load_s = 5
        while not rig.launcher.on("b"):  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(1)
        rig.launcher.fail(rig.pool.replicas_of(rig.chat)[0].id)
        begun = len(rig.launcher.history)
        await anyio.sleep(60)
        assert nodes_of(rig) == ["a", "b"]
        assert not [line for line in rig.launcher.history[begun:] if line.startswith("launch")]

    on_pool(scenario, replicas=2)


def test_a_model_that_is_unloaded_during_a_move_stays_away(on_pool: PoolRunner) -> None:
    async def scenario(rig: Rig) -> None:
        await lose_and_return(rig)
        rig.launcher.behavior(rig.chat.model_id).load_s = 5
        while not rig.launcher.on("b"):  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(1)
        await rig.pool.unload_model(rig.chat, 0)
        await anyio.sleep(60)
        assert rig.launcher.running == {}

    on_pool(scenario, replicas=2)
