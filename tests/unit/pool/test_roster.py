"""The states of a replica: only the steps of the table, and a count of its leases that is never wrong."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from foundrylocal.catalog.registry import Model, Registry
from foundrylocal.engine.replica import Address, ReplicaSpec
from foundrylocal.errors import ModelInUse
from foundrylocal.pool.roster import _LEGAL, Replica, Roster, State
from foundrylocal.wire.load_options import EffectiveOptions
from tests.fakes import virtual_time
from tests.running import BASE_MODEL, CHAT_MODEL

ADDRESS = Address("unix:///a.sock", "", 1)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def model() -> Model:
    return Registry.load().find(CHAT_MODEL)


def _spec(model: Model, number: int = 1) -> ReplicaSpec:
    return ReplicaSpec(
        f"{model.model_id}#{number}", model.model_id, Path("m.gguf"), None, 10, 20, EffectiveOptions()
    )


def _in_state(roster: Roster, model: Model, state: State, number: int = 1) -> Replica:
    replica = roster.add(model, _spec(model, number))
    if state is State.GONE:
        roster.set_gone(replica)
    elif state is not State.LOADING:
        roster.set_ready(replica, ADDRESS)
    if state is State.YIELDING:
        roster.set_yielding(replica)
    elif state is State.DRAINING:
        roster.set_draining(replica, is_recallable=True)
    assert replica.state is state
    return replica


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_only_the_steps_of_the_table_are_possible(model: Model, before: State, after: State) -> None:
    roster = Roster(Clock())
    replica = _in_state(roster, model, before)
    steps = {
        State.READY: lambda: roster.set_ready(replica, ADDRESS),
        State.YIELDING: lambda: roster.set_yielding(replica),
        State.DRAINING: lambda: roster.set_draining(replica, is_recallable=False),
        State.GONE: lambda: roster.set_gone(replica),
    }
    if after is State.LOADING:
        assert after not in set().union(*_LEGAL.values())
    elif after in _LEGAL[before] or before is after is State.GONE or before is after is State.DRAINING:
        steps[after]()
        assert replica.state is after
    else:
        with pytest.raises(RuntimeError):
            steps[after]()
        assert replica.state is before


def test_from_every_state_there_is_a_way_out_of_memory() -> None:
    assert all(State.GONE in steps for state, steps in _LEGAL.items() if state is not State.GONE)


def test_one_that_is_gone_is_in_no_list(model: Model) -> None:
    roster = Roster(Clock())
    replica = _in_state(roster, model, State.READY)
    assert roster.find(replica.spec.id) is replica
    assert roster.set_gone(replica, "crashed")
    assert not roster.set_gone(replica, "again")
    assert (replica.lost_reason, roster.find(replica.spec.id)) == ("crashed", None)
    assert roster.replicas(*State) == roster.candidates() == []


def test_a_request_goes_to_the_ready_replica_with_the_fewest_in_flight(model: Model) -> None:
    roster = Roster(Clock())
    entry = roster.entry(model)
    for number, state in enumerate((State.LOADING, State.YIELDING, State.DRAINING)):
        _in_state(roster, model, state, number)
    assert entry.ready() is None
    first, second = (_in_state(roster, model, State.READY, number) for number in (8, 9))
    with roster.use(first):
        assert entry.ready() is second
        with roster.use(second), roster.use(second):
            assert entry.ready() is first
    assert entry.ready() is first


def test_a_lease_counts_and_sets_the_time_of_the_last_use(model: Model) -> None:
    clock = Clock()
    roster = Roster(clock)
    replica = _in_state(roster, model, State.READY)
    assert replica.last_used == 100.0
    clock.now = 110.0
    with pytest.raises(KeyError), roster.use(replica):
        assert (replica.in_flight, replica.last_used) == (1, 110.0)
        clock.now = 120.0
        raise KeyError
    assert (replica.in_flight, replica.last_used) == (0, 120.0)


def test_the_candidates_for_eviction_are_those_in_memory(model: Model) -> None:
    roster = Roster(Clock())
    base = Registry.load().find(BASE_MODEL)
    _in_state(roster, model, State.LOADING, 1)
    _in_state(roster, model, State.GONE, 2)
    ready = _in_state(roster, model, State.READY, 3)
    draining = _in_state(roster, base, State.DRAINING, 4)
    roster.set_current(model)
    with roster.use(ready):
        first, second = roster.candidates()
    assert (first.id, first.is_current, first.is_busy, first.is_leaving) == (ready.spec.id, True, True, False)
    assert (second.id, second.is_current, second.is_busy, second.is_leaving) == (
        draining.spec.id,
        False,
        False,
        True,
    )


def test_one_that_loads_counts_for_eviction_as_soon_as_it_has_a_worker(model: Model) -> None:
    roster = Roster(Clock())
    loading = _in_state(roster, model, State.LOADING, 1)
    assert roster.candidates() == []
    roster.set_launched(loading, loading.spec)
    (one,) = roster.candidates()
    assert (one.id, one.is_busy, one.is_leaving) == (loading.spec.id, True, False)


def test_only_one_model_is_pinned(model: Model) -> None:
    roster = Roster(Clock())
    base = Registry.load().find(BASE_MODEL)
    replicas = [_in_state(roster, one, State.READY) for one in (model, base)]
    for pinned, expected in ((model, [True, False]), (base, [False, True]), (None, [False, False])):
        roster.set_current(pinned)
        assert [replica.is_current for replica in replicas] == expected


@pytest.mark.parametrize("state", [state for state in State if state is not State.GONE])
def test_the_files_of_a_model_with_a_replica_are_not_changed(model: Model, state: State) -> None:
    roster = Roster(Clock())
    replica = _in_state(roster, model, state)
    with pytest.raises(ModelInUse), roster.block_loads(model):
        pass
    roster.set_gone(replica)
    with roster.block_loads(model):
        pass


def test_nothing_loads_a_model_while_its_files_change(model: Model) -> None:
    roster = Roster(Clock())
    with roster.block_loads(model):
        with pytest.raises(ModelInUse) as refused:
            roster.add(model, _spec(model))
        assert refused.value.details == "Try again in a moment."  # nothing can be unloaded
        with pytest.raises(ModelInUse), roster.block_loads(model):
            pass
    with pytest.raises(KeyError), roster.block_loads(model):
        raise KeyError
    roster.add(model, _spec(model))


def test_one_that_drains_for_good_is_never_made_recallable_again(model: Model) -> None:
    roster = Roster(Clock())
    replica = _in_state(roster, model, State.DRAINING)
    assert replica.is_recallable
    roster.set_draining(replica, is_recallable=False)
    roster.set_draining(replica, is_recallable=True)
    assert not replica.is_recallable


def test_a_wait_ends_with_the_change_it_waits_for(model: Model) -> None:
    async def main() -> None:
        import anyio

        roster = Roster()
        replica = _in_state(roster, model, State.READY)
        done: list[str] = []

        async def wait(name: str, what: object) -> None:
            await what()  # type: ignore[operator]
            done.append(name)

        async with anyio.create_task_group() as group:
            with roster.use(replica), roster.use(replica):
                group.start_soon(wait, "drained", replica.drained)
                group.start_soon(wait, "ended", replica.ended)
                await virtual_time.settle()
                assert done == []
            await virtual_time.settle()
            assert done == ["drained"]
            roster.set_gone(replica)
        assert done == ["drained", "ended"]

    virtual_time.run(main)
