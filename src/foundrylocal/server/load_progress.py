"""How far a load has come, reported now and then with the line that its operation waits with."""

from __future__ import annotations

import math
from typing import Any

import anyio

from foundrylocal.events import Measure, Progress
from foundrylocal.kit.operation import Operation
from foundrylocal.pool.load_status import LoadStatus

PERIOD_S = 2.0


class LoadProgress:
    """Repeats the line with a measure every PERIOD_S; a load that is quicker reports none."""

    def __init__(self, operation: Operation[Any], line: str) -> None:
        self._operation = operation
        self._line = line
        self._next = anyio.current_time() + PERIOD_S

    def __call__(self, status: LoadStatus) -> None:
        if anyio.current_time() >= self._next:
            self._next = anyio.current_time() + PERIOD_S
            self._operation.report(Progress(self._line, _measure(status)))


def _measure(status: LoadStatus) -> Measure:
    eta_s = None if status.eta_s is None else math.ceil(status.eta_s)
    return Measure("loading", percent=round(status.progress * 100, 1), eta_seconds=eta_s)
