"""Waiting until no model answers requests: tuning would slow them down, and they would distort the measurement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from foundrylocal.errors import FoundryLocalError, OperationInProgress

T = TypeVar("T")

CHECK_PERIOD_S = 0.2
# How long tuning waits for requests to end before it gives up.
MAX_WAIT_S = 30.0


class ModelsBusy(OperationInProgress):
    """Requests are being answered, and did not end in time."""

    def __init__(self) -> None:
        FoundryLocalError.__init__(
            self,
            "Models are answering requests",
            f"Tuning would slow them down; it waited {MAX_WAIT_S:g} s for them to end. Try again later.",
        )


class Calm:
    """Work that is only done while nobody is served; `count_requests` says how many requests are being answered."""

    def __init__(self, count_requests: Callable[[], int]) -> None:
        self._count_requests = count_requests

    async def wait(self) -> None:
        """Wait until no request is being answered. Raises ModelsBusy after MAX_WAIT_S."""
        with anyio.move_on_after(MAX_WAIT_S):
            await self._until(lambda: self._count_requests() == 0)
            return
        raise ModelsBusy

    async def run(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Do the work; None when a request came meanwhile, in which case the work was cancelled at once."""
        results: list[T] = []
        faults: list[Exception] = []
        async with anyio.create_task_group() as group:

            async def do() -> None:
                try:
                    results.append(await work())
                except Exception as fault:  # noqa: BLE001 - raised again, outside of the group
                    faults.append(fault)
                group.cancel_scope.cancel()

            group.start_soon(do)
            await self._until(lambda: self._count_requests() > 0)
            group.cancel_scope.cancel()
        if faults:
            raise faults[0]
        return results[0] if results else None

    @staticmethod
    async def _until(is_met: Callable[[], bool]) -> None:
        """Check again and again; the caller bounds the wait."""
        while True:
            if is_met():
                return
            await anyio.sleep(CHECK_PERIOD_S)
