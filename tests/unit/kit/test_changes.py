"""Waiting until something is so."""

from __future__ import annotations

import anyio

from foundrylocal.kit.changes import Changes
from tests.fakes import virtual_time


def test_who_waits_looks_again_after_each_change_and_nobody_is_missed() -> None:
    async def main() -> None:
        changes, facts, passed = Changes(), {"number": 0}, []

        async def wait(number: int) -> None:
            await changes.wait_until(lambda: facts["number"] >= number)
            passed.append(number)

        async with anyio.create_task_group() as group:
            for number in (0, 1, 2, 2):
                group.start_soon(wait, number)
            await virtual_time.settle()
            assert passed == [0], "what holds already is not waited for"
            changes.notify()
            await virtual_time.settle()
            assert passed == [0], "a change after which it does not hold wakes nobody for good"
            facts["number"] = 2
            await virtual_time.settle()
            assert passed == [0]
            changes.notify()
        assert passed == [0, 1, 2, 2]

    virtual_time.run(main)
