"""A task that sleeps until there is something to do."""

from __future__ import annotations

import threading

import anyio

from foundrylocal.kit.wake import Wake
from tests.fakes import virtual_time


def test_a_set_is_never_lost_and_several_are_one() -> None:
    async def main() -> None:
        wake = Wake()
        wake.set()
        wake.set()
        await wake.wait()
        began = anyio.current_time()
        await wake.wait(5)
        assert anyio.current_time() - began == 5
        async with anyio.create_task_group() as group:
            group.start_soon(wake.wait)
            await anyio.sleep(100)
            wake.set()

    virtual_time.run(main)


def test_another_thread_wakes_it() -> None:
    async def main() -> None:
        wake = Wake()
        wake.set_from_thread()  # before the first wait nobody sleeps
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(wake.wait)
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                thread = threading.Thread(target=wake.set_from_thread)
                thread.start()
        thread.join()

    anyio.run(main)
