"""Keys share a model's slots by time, whatever the number of their clients and the length of their answers."""

from __future__ import annotations

from collections import defaultdict

import anyio
import pytest

from foundrylocal.errors import QueueFull
from foundrylocal.gateway.flow.queue import FairQueue
from foundrylocal.gateway.flow.shares import KeyShares, Waiter
from tests.fakes import virtual_time

MODEL = "some/model"
LOAD_S = 2_000.0


class Load:
    """Clients that send one request after the other, in virtual time; `slot_s` is the slots' time by key."""

    def __init__(self, slots: int, queue_size: int = 64) -> None:
        self.queue = FairQueue(lambda: queue_size, anyio.current_time)
        self.queue.set_limit(MODEL, slots)
        self.slot_s: defaultdict[str, float] = defaultdict(float)
        self.refused: defaultdict[str, int] = defaultdict(int)

    async def client(self, key: str, client: str, answer_s: float, weight: int = 1) -> None:
        while True:
            try:
                async with self.queue.slot(MODEL, key, client, weight=weight):
                    await anyio.sleep(answer_s)
                    self.slot_s[key] += answer_s * weight
            except QueueFull:
                self.refused[key] += 1
                await anyio.sleep(1)

    def run(self, *clients: tuple[str, float]) -> dict[str, float]:
        """Each key's part of the time; a client is its key and how long its answers take."""

        async def main() -> None:
            with anyio.move_on_after(LOAD_S):
                async with anyio.create_task_group() as group:
                    for number, (key, answer_s) in enumerate(clients):
                        group.start_soon(self.client, key, f"c{number}", answer_s)

        virtual_time.run(main)
        total = sum(self.slot_s.values())
        return {key: used / total for key, used in self.slot_s.items()}


MODEST = [(key, 1.0) for key in ("a", "b", "c") for _ in range(2)]


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("greedy_answer_s", [1.0, 3.0, 10.0])
def test_sixteen_clients_with_four_keys_one_of_them_greedy(slots: int, greedy_answer_s: float) -> None:
    parts = Load(slots).run(*MODEST, *[("greedy", greedy_answer_s)] * 10)
    assert parts == pytest.approx(dict.fromkeys(("a", "b", "c", "greedy"), 0.25), rel=0.2)


def test_a_greedy_key_does_not_fill_the_queue_for_others() -> None:
    load = Load(slots=2, queue_size=4)
    parts = load.run(*[("modest", 1.0)] * 2, *[("greedy", 1.0)] * 30)
    assert parts["modest"] == pytest.approx(0.5, rel=0.2)
    assert not load.refused["modest"] and load.refused["greedy"]


def test_a_key_alone_has_everything_and_owes_nothing_for_it() -> None:
    load = Load(slots=2)

    async def main() -> None:
        with anyio.move_on_after(1_000):
            async with anyio.create_task_group() as group:
                for number in range(4):
                    group.start_soon(load.client, "early", f"c{number}", 1.0)
                await anyio.sleep(500)
                assert load.slot_s["early"] == pytest.approx(1_000, abs=4)
                load.slot_s.clear()
                for number in range(4):
                    group.start_soon(load.client, "late", f"c{number}", 1.0)

    virtual_time.run(main)
    assert load.slot_s["early"] == pytest.approx(load.slot_s["late"], rel=0.05)


def grants(shares: KeyShares, number: int, now: float, usual_s: float = 1.0) -> list[str]:
    """The keys of the next requests that get a slot."""
    found = []
    for _ in range(number):
        waiter = shares.next(usual_s)
        assert waiter is not None
        shares.grant(waiter, 1, now)
        found.append(waiter.key)
    return found


def waiting_shares(*keys: str) -> KeyShares:
    """Four waiting requests of each key, which came at time 0."""
    shares = KeyShares()
    for key in keys:
        for number in range(4):
            shares.add(Waiter(key, f"c{number}", 0.0, 1), 0.0)
    return shares


def test_time_that_nobody_else_waited_for_is_free_even_with_requests_of_its_own_waiting() -> None:
    shares = waiting_shares("early")
    left = Waiter("late", "c", 0.0, 1)  # it was there before
    shares.add(left, 0.0)
    shares.remove(left, 0.0)
    assert grants(shares, 2, 0.0) == ["early", "early"]
    for _ in range(3):
        shares.add(Waiter("late", "c", 100.0, 1), 100.0)
    for _ in range(2):
        shares.release("early", 1, 100.0)
    assert grants(shares, 4, 100.0) == ["late", "early", "late", "early"]


def test_time_side_by_side_with_free_slots_is_free() -> None:
    shares = waiting_shares("wide", "slim")
    for key in ("wide", "slim"):
        for waiter in [one for one in shares if one.key == key][: 3 if key == "wide" else 1]:
            shares.grant(waiter, 1, 0.0)
    for waiter in list(shares):
        shares.remove(waiter, 0.0)
    assert shares.waiting == 0  # four slots are in use, and none is missing
    for key in ("wide", "wide", "slim", "slim"):
        shares.add(Waiter(key, "c", 100.0, 1), 100.0)
    for key in ("wide", "wide", "wide", "slim"):
        shares.release(key, 1, 100.0)
    assert sorted(grants(shares, 2, 100.0)) == ["slim", "wide"]


def test_contended_time_is_owed() -> None:
    shares = waiting_shares("long", "short")
    assert grants(shares, 1, 0.0) == ["long"]
    shares.release("long", 1, 100.0)
    assert grants(shares, 1, 100.0) == ["short"]
    shares.release("short", 1, 101.0)
    assert grants(shares, 1, 101.0) == ["short"]


def test_a_full_queue_displaces_the_newest_request_of_the_key_with_the_most() -> None:
    queue = FairQueue(lambda: 3, anyio.current_time)
    queue.set_limit(MODEL, 1)
    outcomes: list[tuple[str, str]] = []

    async def ask(key: str, client: str) -> None:
        try:
            async with queue.slot(MODEL, key, client):
                await anyio.sleep(10)
                outcomes.append((client, "answered"))
        except QueueFull:
            outcomes.append((client, "refused"))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for key, client in (
                *(("greedy", f"g{number}") for number in range(4)),
                *(("modest", "m0"), ("modest", "m1"), ("third", "t0")),
            ):
                group.start_soon(ask, key, client)
                await anyio.sleep(0.1)

    virtual_time.run(main)
    assert outcomes[:3] == [("g3", "refused"), ("m1", "refused"), ("g2", "refused")]
    assert [client for client, what in outcomes if what == "answered"] == ["g0", "m0", "t0", "g1"]


def test_a_key_that_was_away_has_saved_nothing_up() -> None:
    load = Load(slots=1)

    async def main() -> None:
        with anyio.move_on_after(1_000):
            async with anyio.create_task_group() as group:
                with anyio.move_on_after(10):
                    await load.client("away", "c", 1.0)
                for key in ("a", "b"):
                    for number in range(2):
                        group.start_soon(load.client, key, f"c{number}", 1.0)
                await anyio.sleep(400)
                load.slot_s.clear()
                for number in range(2):
                    group.start_soon(load.client, "away", f"c{number}", 1.0)
                await anyio.sleep(60)
                assert load.slot_s["away"] == pytest.approx(20, abs=3)

    virtual_time.run(main)


def test_clients_of_one_key_still_take_turns() -> None:
    load = Load(slots=1)

    async def main() -> None:
        counts: defaultdict[str, int] = defaultdict(int)

        async def client(name: str) -> None:
            while True:
                async with load.queue.slot(MODEL, "one", name):
                    await anyio.sleep(1)
                    counts[name] += 1

        with anyio.move_on_after(120):
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(client, "greedy")
                for _ in range(2):
                    group.start_soon(client, "modest")
        assert counts["modest"] == pytest.approx(counts["greedy"], abs=3)

    virtual_time.run(main)


def test_very_many_keys_are_not_remembered_for_good() -> None:
    load = Load(slots=1)

    async def main() -> None:
        for number in range(2_000):
            async with load.queue.slot(MODEL, f"k{number}", "c"):
                await anyio.sleep(0.01)

    virtual_time.run(main)
    assert len(load.queue._queues[MODEL]._shares._shares) <= 256
