"""Watches what other programs use of the processor, and tells each worker whether to spin briefly.

Invariant: while there is no worker nothing is read, and nothing wakes up.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Protocol

import anyio

from foundrylocal.engine.cpu.cores import Cores, read_cores
from foundrylocal.engine.cpu.crowding import Crowding
from foundrylocal.engine.cpu.load import CpuTimes, cores_of, others_between, read_times
from foundrylocal.kit.wake import Wake

log = logging.getLogger("foundrylocal.FoundryLocalService")

PERIOD_S = 0.5

ReadTimes = Callable[[frozenset[int], Iterable[int], float], CpuTimes]


class WatchedWorker(Protocol):
    """What the watch needs of a worker process; `threads` None is one for each core."""

    @property
    def engine_pid(self) -> int | None: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def can_shorten_spin(self) -> bool: ...
    def shorten_spin(self, is_short: bool) -> None: ...


class CrowdWatch:
    """The owner of what is known of the load; `workers` are those there are now."""

    def __init__(
        self,
        workers: Callable[[], Iterable[WatchedWorker]],
        cores: Callable[[], Cores] = read_cores,
        read: ReadTimes = read_times,
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        self._workers = workers
        self._cores = cores
        self._read = read
        self._now_s = now_s
        self._known_cores: Cores | None = None
        self._last: CpuTimes | None = None
        self._crowding: dict[int, Crowding] = {}
        self._told: dict[int, bool] = {}
        self._added = Wake()

    def note_worker(self) -> None:
        """There is a new worker."""
        self._added.set()

    async def run(self) -> None:
        """Look every PERIOD_S while there are workers, until cancelled."""
        while True:
            if not list(self._workers()):
                await self._added.wait()
            await anyio.sleep(PERIOD_S)
            workers = {
                worker.engine_pid: worker for worker in self._workers() if worker.engine_pid is not None
            }
            await self.look(workers)

    async def look(self, workers: dict[int, WatchedWorker]) -> None:
        """Compare with the last look and tell every worker for which something has changed."""
        if not workers:
            self._last = None
            self._crowding.clear()
            self._told.clear()
            return
        before = self._last
        cores, now = await anyio.to_thread.run_sync(self._snapshot, tuple(workers))
        self._known_cores, self._last = cores, now
        for pid in self._crowding.keys() - workers.keys():
            del self._crowding[pid]
            self._told.pop(pid, None)
        for pid, worker in workers.items():
            if pid not in self._crowding:
                self._crowding[pid] = Crowding(len(cores.cpus) - (worker.threads or cores.physical))
            elif before is not None:
                others = others_between(before, now, (os.getpid(), pid))
                self._judge(pid, worker, cores_of(pid, before, now), others)

    def _snapshot(self, pids: tuple[int, ...]) -> tuple[Cores, CpuTimes]:
        """Blocking. The cores are read again when there is a new worker."""
        cores = self._known_cores
        if cores is None or pids[-1] not in self._crowding:
            cores = self._cores()
        return cores, self._read(cores.cpus, (os.getpid(), *pids), self._now_s())

    def _judge(self, pid: int, worker: WatchedWorker, own_cores: float, others_cores: float) -> None:
        crowding = self._crowding[pid]
        is_crowded = crowding.note(own_cores, others_cores)
        if worker.can_shorten_spin and is_crowded != self._told.get(pid, False):
            log.debug(
                "Other programs use %.1f cores: engine threads of process %d %s",
                others_cores,
                pid,
                "sleep instead of spinning" if is_crowded else "spin again",
            )
            worker.shorten_spin(is_crowded)
            self._told[pid] = is_crowded
