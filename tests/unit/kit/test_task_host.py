"""Background tasks that end with their owner."""

from __future__ import annotations

import logging

import anyio
import pytest

from foundrylocal.errors import ServerShuttingDown
from foundrylocal.kit.task_host import TaskHost
from tests.fakes import virtual_time

log = logging.getLogger("test")


def test_tasks_run_while_it_is_open_and_are_cancelled_after() -> None:
    async def main() -> None:
        host, ended = TaskHost(log), list[str]()

        async def work(name: str) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append(name)

        with pytest.raises(ServerShuttingDown):
            host.spawn(work, "too early")
        async with host.open():
            host.spawn(work, "a")
            await virtual_time.settle()
            assert (host.is_open, ended) == (True, [])
        assert (host.is_open, ended) == (False, ["a"])
        with pytest.raises(ServerShuttingDown):
            host.spawn(work, "too late")

    virtual_time.run(main)


def test_a_task_that_fails_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        host, done = TaskHost(log), list[str]()

        async def fail() -> None:
            raise KeyError("x")

        async def work() -> None:
            await anyio.sleep(1)
            done.append("b")

        async with host.open():
            host.spawn(fail)
            host.spawn(work)
            await anyio.sleep(2)
        assert done == ["b"]

    virtual_time.run(main)
    assert "KeyError" in caplog.text
