"""The watchdog over the event loop: it names who held the loop, and nothing else."""

from __future__ import annotations

import logging
import time

import anyio
import anyio.lowlevel
import pytest

from foundrylocal.kit.loop_watchdog import LoopWatchdog, describe

LOGGER = "foundrylocal.FoundryLocalApiService"


def hold_the_loop(secret: str) -> None:
    assert secret
    time.sleep(0.3)


def test_it_names_the_function_that_held_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(late_s=0.05, period_s=0.01)
        with watchdog.watching():
            await anyio.lowlevel.checkpoint()
            hold_the_loop("a-secret-value")
            with anyio.fail_after(10):
                while not caplog.records:  # noqa: ASYNC110 - a log tells nobody
                    await anyio.sleep(0.01)
            hold_the_loop("a-secret-value")  # too soon for a second line
            await anyio.sleep(0.1)

    with caplog.at_level(logging.WARNING, logger=LOGGER):
        anyio.run(main)
    (record,) = caplog.records
    assert "hold_the_loop" in record.message and __name__ in record.message
    assert "a-secret-value" not in record.message


def test_a_stack_is_described_without_values() -> None:
    assert describe(None) == "an unknown function"
