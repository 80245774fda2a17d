"""Slots and lines: fairness, the bound, and that no slot is ever lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from foundrylocal.errors import QueueFull
from foundrylocal.gateway.flow.queue import FairQueue

pytestmark = pytest.mark.anyio
MODEL = "some/model"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Users:
    """Requests that take a slot, write down their name, and keep it until told to leave."""

    def __init__(self, queue: FairQueue, group: anyio.abc.TaskGroup) -> None:
        self.queue = queue
        self.group = group
        self.order: list[str] = []
        self.leave: dict[str, anyio.Event] = {}
        self.scopes: dict[str, anyio.CancelScope] = {}
        self.refused: list[str] = []

    async def enter(self, name: str, client: str = "one", weight: int = 1) -> None:
        self.leave[name] = anyio.Event()
        self.scopes[name] = anyio.CancelScope()

        async def use() -> None:
            with self.scopes[name]:
                try:
                    async with self.queue.slot(MODEL, "key", client, weight=weight):
                        self.order.append(name)
                        await self.leave[name].wait()
                except QueueFull:
                    self.refused.append(name)

        self.group.start_soon(use)
        await anyio.wait_all_tasks_blocked()

    async def end(self, name: str) -> None:
        self.leave[name].set()
        await anyio.wait_all_tasks_blocked()

    async def cancel(self, name: str) -> None:
        self.scopes[name].cancel()
        await anyio.wait_all_tasks_blocked()


async def with_users(
    test: Callable[[Users], Awaitable[None]], *, slots: int = 1, most_waiting: int = 10
) -> None:
    queue = FairQueue(lambda: most_waiting)
    queue.set_limit(MODEL, slots)
    async with anyio.create_task_group() as group:
        await test(Users(queue, group))
        group.cancel_scope.cancel()
    assert queue.snapshot()[MODEL].running == 0
    assert queue.snapshot()[MODEL].waiting == 0


async def test_clients_take_turns() -> None:
    async def test(users: Users) -> None:
        await users.enter("first", "greedy")
        for number in range(3):
            await users.enter(f"greedy{number}", "greedy")
        await users.enter("modest", "modest")
        for name in ("first", "greedy0", "modest", "greedy1"):
            await users.end(name)
        assert users.order == ["first", "greedy0", "modest", "greedy1", "greedy2"]

    await with_users(test)


async def test_past_the_bound_is_refused_with_a_time() -> None:
    async def test(users: Users) -> None:
        for name in ("runs", "waits", "refused"):
            await users.enter(name)
        assert users.refused == ["refused"]
        with pytest.raises(QueueFull) as caught:
            async with users.queue.slot(MODEL, "key", "other"):
                pass
        assert caught.value.retry_after_s is not None and 1 <= caught.value.retry_after_s <= 60
        assert users.queue.snapshot()[MODEL].waiting == 1

    await with_users(test, most_waiting=1)


async def test_one_who_had_a_place_passes_the_bound() -> None:
    async def test(users: Users) -> None:
        await users.enter("runs")
        with anyio.move_on_after(0) as scope:
            async with users.queue.slot(MODEL, "key", "again", is_readmitted=True):
                pass
        assert scope.cancelled_caught

    await with_users(test, most_waiting=0)


async def test_a_cancelled_waiter_leaves_no_gap() -> None:
    async def test(users: Users) -> None:
        for name in ("runs", "gone", "next"):
            await users.enter(name)
        await users.cancel("gone")
        await users.end("runs")
        assert users.order == ["runs", "next"]

    await with_users(test)


async def test_a_waiter_cancelled_in_the_moment_of_its_turn_gives_the_slot_on() -> None:
    async def test(users: Users) -> None:
        for name in ("runs", "unlucky", "next"):
            await users.enter(name)
        users.leave["runs"].set()
        await anyio.lowlevel.checkpoint()
        users.scopes["unlucky"].cancel()
        await anyio.wait_all_tasks_blocked()
        await users.end("unlucky")
        assert "next" in users.order

    await with_users(test)


async def test_more_slots_are_taken_by_those_who_wait() -> None:
    async def test(users: Users) -> None:
        for name in ("one", "two", "three"):
            await users.enter(name)
        users.queue.set_limit(MODEL, 3)
        await anyio.wait_all_tasks_blocked()
        assert users.order == ["one", "two", "three"]

    await with_users(test)


async def test_a_ticket_tells_the_place() -> None:
    async def test(users: Users) -> None:
        async with users.queue.slot(MODEL, "key", "a") as ticket:
            assert (ticket.position, ticket.waited_s) == (0, 0.0)
            await users.enter("waits")
            stats = users.queue.snapshot()[MODEL]
            assert (stats.limit, stats.running, stats.waiting) == (1, 1, 1)

    await with_users(test)


async def test_a_request_for_several_answers_takes_as_many_slots() -> None:
    async def test(users: Users) -> None:
        await users.enter("one")
        await users.enter("three", "heavy", weight=3)
        await users.enter("next", "light")  # one slot is free, and it is not its turn
        assert (users.order, users.queue.snapshot()[MODEL].running) == (["one"], 1)
        await users.end("one")
        assert (users.order, users.queue.snapshot()[MODEL].running) == (["one", "three"], 3)
        await users.end("three")
        assert users.order == ["one", "three", "next"]

    await with_users(test, slots=3)


async def test_more_answers_than_slots_take_all_of_them() -> None:
    async def test(users: Users) -> None:
        await users.enter("many", weight=100)
        await users.enter("other", "other")
        assert (users.order, users.queue.snapshot()[MODEL].running) == (["many"], 2)
        await users.end("many")
        assert users.order == ["many", "other"]

    await with_users(test, slots=2)


async def test_one_that_gathered_slots_and_left_holds_up_nobody() -> None:
    async def test(users: Users) -> None:
        await users.enter("one")
        await users.enter("two", "heavy", weight=2)
        await users.enter("next", "light")
        await users.cancel("two")
        assert users.order == ["one", "next"]

    await with_users(test, slots=2)
