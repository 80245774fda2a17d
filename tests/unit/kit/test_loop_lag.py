"""How long the event loop has stood still."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from foundrylocal.kit.loop_lag import MIN_LAG_S, LoopLag
from tests.fakes import virtual_time


def test_only_standstills_count_and_all_of_each() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        lag = LoopLag()
        async with anyio.create_task_group() as group:
            group.start_soon(lag.run)
            await anyio.sleep(1000)
            assert lag.total_s == 0
            for expected_s in (3, 6):
                loop.jumping.now += 3
                await anyio.sleep(0.5)
                assert lag.total_s == pytest.approx(expected_s, abs=0.2)
            loop.jumping.now += MIN_LAG_S / 3
            await anyio.sleep(1)
            assert lag.total_s == pytest.approx(6, abs=0.2)
            group.cancel_scope.cancel()

    virtual_time.run(main)
