"""Requests that take no slot: few at once, in a bounded queue."""

from __future__ import annotations

import anyio
import pytest

from foundrylocal.errors import QueueFull
from foundrylocal.gateway.flow.side_work import MAX_RUNNING, MAX_WAITING, SideWork


def test_few_run_at_once_by_model_and_a_place_is_given_back() -> None:
    async def main() -> None:
        work = SideWork()
        running: list[str] = []
        ends = anyio.Event()

        async def one(model_id: str) -> None:
            async with work.place(model_id):
                running.append(model_id)
                await ends.wait()

        async with anyio.create_task_group() as group:
            for _ in range(MAX_RUNNING + 3):
                group.start_soon(one, "a")
            group.start_soon(one, "b")
            await anyio.wait_all_tasks_blocked()
            assert running.count("a") == MAX_RUNNING and running.count("b") == 1
            ends.set()
        assert running.count("a") == MAX_RUNNING + 3

    anyio.run(main)


def test_the_queue_is_bounded() -> None:
    async def main() -> None:
        work = SideWork()

        async def one() -> None:
            async with work.place("a"):
                await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            for _ in range(MAX_RUNNING + MAX_WAITING):
                group.start_soon(one)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(QueueFull):
                async with work.place("a"):
                    pass
            group.cancel_scope.cancel()
        async with work.place("a"):
            pass

    anyio.run(main)
