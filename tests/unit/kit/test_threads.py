"""Lanes of threads: a bound of their own, apart from the threads that short calls share."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread

from foundrylocal.kit.threads import ThreadLane


def test_row_30_long_jobs_leave_the_shared_threads_alone() -> None:
    lane = ThreadLane("test", 2)
    go_on = threading.Event()
    started: list[int] = []

    def work(number: int) -> None:
        started.append(number)
        assert go_on.wait(30)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(lane.run, work, number)
            await anyio.wait_all_tasks_blocked()
            try:
                with anyio.fail_after(10):
                    assert await anyio.to_thread.run_sync(lambda: "free") == "free"
                assert len(started) == 2
            finally:
                go_on.set()
        assert sorted(started) == list(range(60))

    anyio.run(main)


def test_a_lane_serves_one_event_loop_after_another() -> None:
    lane = ThreadLane("test", 1)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(lane.run, threading.get_ident)

    anyio.run(main)
    anyio.run(main)


def test_a_cancelled_call_leaves_the_queue() -> None:
    lane = ThreadLane("test", 1)
    go_on = threading.Event()
    ran: list[str] = []

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lane.run, go_on.wait, 30)
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.01):
                await lane.run(ran.append, "cancelled")
            go_on.set()
            await lane.run(ran.append, "next")

    anyio.run(main)
    assert ran == ["next"]
