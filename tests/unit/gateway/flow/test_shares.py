"""Keys share a model's slots by time, whatever the number of their clients and the length of their answers."""

from __future__ import annotations

from collections import defaultdict

import anyio
import pytest

from foundrylocal.errors import QueueFull
from foundrylocal.gateway.flow.queue import FairQueue
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
