"""Runs the doctor's checks at the same time, each bounded in time.

Invariant: every check has exactly one result, in the order of the list, whatever it raises or however long it takes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio

from foundrylocal.doctor.finding import Finding, warning
from foundrylocal.errors import FoundryLocalError
from foundrylocal.kit.threads import ThreadLane

log = logging.getLogger("foundrylocal.FoundryLocalApiService")

T = TypeVar("T")

CHECK_TIMEOUT_S = 10.0
# A check that hangs (a dead network folder) keeps its thread until the system lets go of it.
_LANE = ThreadLane("doctor", 16)


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `look` returns its finding within `timeout_s`, or is given up."""

    name: str
    look: Callable[[], Awaitable[Finding]]
    timeout_s: float = CHECK_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Checked:
    """The finding of one check and the seconds it took."""

    name: str
    finding: Finding
    seconds: float


class Shared(Generic[T]):
    """One answer for several checks: asked for by the first that needs it."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._answers: list[T] = []
        self._lock = anyio.Lock()

    async def get(self) -> T:
        """The answer. Raises what asking raises; the next caller then asks again."""
        async with self._lock:
            if not self._answers:
                self._answers.append(await self._ask())
            return self._answers[0]


def in_thread(look: Callable[[], Finding]) -> Callable[[], Awaitable[Finding]]:
    """A check that blocks, as one that does not."""

    async def run() -> Finding:
        return await _LANE.run_abandonable(look)

    return run


async def run_checks(checks: Sequence[Check]) -> list[Checked]:
    """The result of each check, in order; takes as long as the slowest one."""
    results: dict[str, Checked] = {}
    async with anyio.create_task_group() as group:
        for check in checks:
            group.start_soon(_run, check, results)
    return [results[check.name] for check in checks]


async def _run(check: Check, results: dict[str, Checked]) -> None:
    began_s = anyio.current_time()
    finding = warning(
        f"The check did not finish within {check.timeout_s:g} s.",
        "Try again when the machine is less busy; a network folder or a driver that hangs also causes this.",
    )
    try:
        with anyio.move_on_after(check.timeout_s):
            finding = await check.look()
    except FoundryLocalError as failure:
        finding = warning(f"The check failed: {failure.message}.", failure.details or "Try again.")
    except Exception as failure:  # noqa: BLE001 - the other checks still have something to say
        log.warning("Check %s of the doctor failed: %r", check.name, failure)
        finding = warning(f"The check failed: {failure or type(failure).__name__}.", "See foundrylocal logs.")
    results[check.name] = Checked(check.name, finding, anyio.current_time() - began_s)
